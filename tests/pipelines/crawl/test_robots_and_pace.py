from __future__ import annotations

import datetime
import time
from typing import Any

import pytest

from pipelines.crawl.fetch import Fetcher, media_type
from pipelines.crawl.journal import RobotsRead
from pipelines.crawl.pace import LONGEST_PAUSE_SECONDS, Pace
from pipelines.crawl.robots import RobotsRules, read_robots

ORIGIN = "http://site.example"


def _read(site: Any, **settings: object) -> RobotsRead:
    config = site.config(**settings)
    fetcher = Fetcher(config, Pace(0))
    try:
        return read_robots(fetcher, ORIGIN, sitemaps=config.sitemaps)
    finally:
        fetcher.close()


def _rules(text: str | None, agent: str = "corpusmill/0.1 (like Otherbot)") -> RobotsRules:
    return RobotsRules(RobotsRead(origin=ORIGIN, read_at=datetime.datetime.now(datetime.UTC), text=text), agent)


def test_rules_are_read_for_the_first_word_of_the_user_agent() -> None:
    text = "User-agent: otherbot\nDisallow: /\n\nUser-agent: Corpusmill\nDisallow: /a\nAllow: /a/b\nCrawl-delay: 7\n"
    rules = _rules(text)
    assert not rules.allows(f"{ORIGIN}/a/c")
    assert rules.allows(f"{ORIGIN}/a/b")
    assert rules.allows(f"{ORIGIN}/c")
    assert rules.delay_seconds == 7
    assert _rules(text, "someone").allows(f"{ORIGIN}/a")
    assert not _rules(None).allows(f"{ORIGIN}/")


def test_a_day_old_file_is_not_fresh() -> None:
    rules = _rules("")
    assert rules.is_fresh
    old = rules.read.model_copy(update={"read_at": rules.read.read_at - datetime.timedelta(hours=25)})
    assert not RobotsRules(old, "x").is_fresh


@pytest.mark.parametrize(("status", "text"), [(401, ""), (404, ""), (410, ""), (500, None), (503, None)])
def test_status_of_robots(site: Any, status: int, text: str | None) -> None:
    site.robots("User-agent: *\nDisallow: /\n")
    site.pages["/robots.txt"].status = status
    read = _read(site, retries=1)
    assert read.text == text
    assert bool(read.error) == (text is None)


def test_robots_of_a_dead_host_forbids_all(site: Any) -> None:
    read = _read(site, connect_to={"site.example:80": "127.0.0.1:1"}, retries=1)
    assert (read.text, read.error, read.retries) == (None, "connection", 1)


def test_redirected_robots(site: Any) -> None:
    for step in range(5):
        site.redirect(f"/robots.txt{step or ''}", f"/robots.txt{step + 1}")
    site.pages["/robots.txt5"] = site.pages["/nothing"] = None
    site.robots("")
    rules = site.pages["/robots.txt"]
    rules.body = b"User-agent: *\nDisallow: /private\nSitemap: /map.xml\nSitemap: http://o.example/m.xml\n"
    site.pages["/robots.txt5"] = rules
    site.redirect("/robots.txt", "/robots.txt1")
    read = _read(site)
    assert read.text is not None
    assert "Disallow: /private" in read.text
    assert [item.url for item in read.found] == [f"{ORIGIN}/map.xml", "http://o.example/m.xml"]
    assert _read(site, sitemaps=False).found == ()
    site.redirect("/robots.txt5", "/robots.txt6")
    assert _read(site).text == ""  # the sixth redirect is not followed: as if there were none


def test_pace_waits_and_minds_longer_pauses() -> None:
    pace = Pace(0.1)
    started = time.monotonic()
    pace.wait("a")
    assert time.monotonic() - started < 0.08
    pace.asked("a")
    pace.wait("b")
    assert time.monotonic() - started < 0.08
    pace.wait("a")
    assert time.monotonic() - started >= 0.1
    pace.slow_down("a", 0.2)
    pace.asked("a")
    middle = time.monotonic()
    pace.wait("a")
    assert time.monotonic() - middle >= 0.19


def test_pauses_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    pace = Pace(0)
    pace.slow_down("a", 1e9)
    pace.asked("a", 1e9)
    pace.wait("a")
    assert LONGEST_PAUSE_SECONDS - 1 < slept[0] <= LONGEST_PAUSE_SECONDS


def test_a_restarted_crawl_waits_first(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    Pace(3.0, asked_before=True).wait("a")
    Pace(3.0).wait("a")
    assert slept[0] == pytest.approx(3.0, abs=0.5)
    assert slept[1] == 0


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("text/html; charset=UTF-8", ("text/html", "utf-8")),
        ("TEXT/HTML", ("text/html", None)),
        ('text/html; x=1; charset="Big5"', ("text/html", "big5")),
        ("", ("", None)),
    ],
)
def test_media_type(header: str, expected: tuple[str, str | None]) -> None:
    assert media_type(header) == expected
