from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from pipelines.crawl.frontier import Frontier
from pipelines.crawl.journal import Entry, Item, Journal, RobotsRead, Visit
from pipelines.crawl.state import CrawlState
from schemas.configs.crawl import CrawlConfig
from schemas.errors import StageError

URL = "http://site.example/"
ENTRIES: list[Entry] = [
    RobotsRead(origin=URL[:-1], read_at=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), text="Disallow: /ü\n"),
    Visit(url=URL, outcome="page", status=200, part=0, end=77, links=(URL + "a", URL + "b")),
]


def _write(path: Path) -> None:
    journal = Journal(path)
    for entry in ENTRIES:
        journal.append(entry)
    journal.close()


def _entries(journal: Journal) -> list[Entry]:
    return [entry for _, entry in journal.lines()]


def test_lines_come_back_as_written(tmp_path: Path) -> None:
    _write(tmp_path / "j")
    journal = Journal(tmp_path / "j")
    starts = [start for start, _ in journal.lines()]
    assert [journal.read(start) for start in reversed(starts)] == ENTRIES[::-1]
    third = journal.append(ENTRIES[0])  # at the end, wherever was read
    assert journal.read(third) == ENTRIES[0]
    assert _entries(journal) == [*ENTRIES, ENTRIES[0]]
    journal.close()
    journal = Journal(tmp_path / "k")
    assert [journal.append(entry) for entry in ENTRIES] == starts
    journal.close()
    journal = Journal(tmp_path / "j")
    journal.close()
    assert len((tmp_path / "j").read_bytes().splitlines()) == 3


def test_half_a_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "j"
    _write(path)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole)):
        path.write_bytes(whole[:end])
        journal = Journal(path)
        assert _entries(journal) == ENTRIES[:1]
        journal.append(ENTRIES[1])
        journal.close()
        assert path.read_bytes() == whole


def test_a_damaged_line_is_said(tmp_path: Path) -> None:
    path = tmp_path / "j"
    _write(path)
    path.write_bytes(b"{}\n" + path.read_bytes())
    journal = Journal(path)
    with pytest.raises(StageError, match=r"j is damaged; delete .* to crawl anew"):
        _entries(journal)
    with pytest.raises(StageError, match=r"j is damaged; delete .* to crawl anew"):
        journal.read(0)
    journal.close()


def test_frontier_is_by_depth_then_by_discovery() -> None:
    frontier = Frontier()
    frontier.add([Item("b", 1), Item("a", 1), Item("seed"), Item("a", 0)])
    frontier.add([Item("c", 2), Item("moved", 0, redirects=1)])
    assert not frontier.is_new("a")
    assert [frontier.pop().url for _ in range(len(frontier))] == ["seed", "moved", "b", "a", "c"]
    assert frontier.first() is None
    frontier.add([Item("seed")])
    assert len(frontier) == 0


def _settle_all(state: CrawlState) -> None:
    for entry in ENTRIES:
        state.take(entry)
        if isinstance(entry, RobotsRead):
            state.settle_robots(entry, 0)
        else:
            state.settle(entry)


def test_state_is_what_the_lines_give() -> None:
    config = CrawlConfig(seed_urls=(URL,))
    state = CrawlState(config)
    assert state.needs_robots(Item(URL)) == URL[:-1]
    _settle_all(state)
    assert state.needs_robots(Item(URL)) is None
    assert state.counts["pages"] == state.counts["robots_files"] == 1
    assert len(state.responses) == 1
    assert state.position == (0, 77)
    assert state.frontier.first() == Item(URL + "a", 1)


def test_the_budget_is_of_pages_and_of_bytes() -> None:
    state = CrawlState(CrawlConfig(seed_urls=(URL,), max_pages=7, max_bytes=10, max_total_bytes=95))
    assert state.budget == 7
    state = CrawlState(CrawlConfig(seed_urls=(URL,), max_pages=99, max_bytes=10, max_total_bytes=95))
    assert state.budget == 10
    state.counts["bytes"] = 91
    assert state.budget == 1
    state.counts["bytes"] = 96
    assert state.budget == 0


def test_a_host_that_fails_again_and_again_is_left_alone() -> None:
    state = CrawlState(CrawlConfig(seed_urls=(URL,), host_failures=3))
    broken = Visit(url=URL, outcome="failed", error="connection")
    for entry in (broken, broken, ENTRIES[1], broken, broken):
        state.take(entry)
    assert not state.left_alone
    state.take(broken)
    assert state.left_alone == {"site.example": "3 requests in a row failed"}


def test_failures_beyond_a_thousand_are_counted_only() -> None:
    state = CrawlState(CrawlConfig(seed_urls=(URL,)))
    state.frontier.add(Item(f"{URL}{number}", 1) for number in range(1200))
    while item := state.frontier.first():
        state.settle(Visit(url=item.url, outcome="failed", error="connection", message="refused"))
    assert len(state.notes()["failures"]) == 1000
    assert state.notes()["failures_not_listed"] == 201
    assert state.counts["errors"] == state.counts["error_connection"] == 1201
