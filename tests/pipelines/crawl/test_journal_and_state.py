from __future__ import annotations

import datetime
import json
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
    Visit(url=URL, outcome="page", status=200, part=0, end=77, found=(Item(URL + "a", 1), Item(URL + "b", 1))),
]


def _write(path: Path) -> None:
    journal = Journal(path)
    for entry in ENTRIES:
        journal.append(entry)
    journal.close()


def test_lines_come_back_as_written(tmp_path: Path) -> None:
    _write(tmp_path / "j")
    journal = Journal(tmp_path / "j")
    journal.close()
    assert journal.entries == ENTRIES
    assert len((tmp_path / "j").read_bytes().splitlines()) == 2


def test_half_a_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "j"
    _write(path)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole)):
        path.write_bytes(whole[:end])
        journal = Journal(path)
        assert journal.entries == ENTRIES[:1]
        journal.append(ENTRIES[1])
        journal.close()
        assert path.read_bytes() == whole


def test_a_damaged_line_is_said(tmp_path: Path) -> None:
    path = tmp_path / "j"
    _write(path)
    path.write_bytes(b"{}\n" + path.read_bytes())
    with pytest.raises(StageError, match=r"j is damaged; delete .* to crawl anew"):
        Journal(path)


def test_frontier_is_by_depth_then_by_discovery() -> None:
    frontier = Frontier()
    frontier.add([Item("b", 1), Item("a", 1), Item("seed"), Item("a", 0)])
    frontier.add([Item("c", 2), Item("moved", 0, redirects=1)])
    assert not frontier.is_new("a")
    assert [frontier.pop().url for _ in range(len(frontier))] == ["seed", "moved", "b", "a", "c"]
    assert frontier.first() is None
    frontier.add([Item("seed")])
    assert len(frontier) == 0


def test_state_is_what_the_lines_give() -> None:
    config = CrawlConfig(seed_urls=(URL,))
    states = [CrawlState(config), CrawlState(config)]
    for entry in ENTRIES:
        states[0].apply(entry)
        states[1].apply(type(entry).model_validate(json.loads(entry.model_dump_json())))
    assert states[0].counts == states[1].counts
    assert states[0].responses == states[1].responses
    assert states[0].position == states[1].position == (0, 77)
    assert states[0].frontier.first() == Item(URL + "a", 1)


def test_a_journal_of_another_crawl_is_refused() -> None:
    state = CrawlState(CrawlConfig(seed_urls=("http://other.example/",)))
    with pytest.raises(StageError, match=r"the journal goes on with http://site.example/, but it is the turn of"):
        state.apply(ENTRIES[1])


def test_failures_beyond_a_thousand_are_counted_only() -> None:
    state = CrawlState(CrawlConfig(seed_urls=(URL,)))
    state.frontier.add(Item(f"{URL}{number}", 1) for number in range(1200))
    while item := state.frontier.first():
        state.apply(Visit(url=item.url, outcome="failed", error="connection", message="refused"))
    assert len(state.notes()["failures"]) == 1000
    assert state.notes()["failures_not_listed"] == 201
    assert state.counts["errors"] == state.counts["error_connection"] == 1201
