from __future__ import annotations

import datetime
import time
from typing import Any

import pytest

from pipelines.crawl.fetch import Answer, Failure, Fetcher, media_type, retry_after_seconds
from pipelines.crawl.journal import RobotsRead
from pipelines.crawl.pace import Pace
from pipelines.crawl.robots import MAX_ROBOTS_BYTES, RobotsRules, judge_robots

ORIGIN = "http://site.example"


def _answer(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer("", status, "", (), named, body, False, "", datetime.datetime.now(datetime.UTC))


def _judge(result: Answer | Failure, *, hops: int = 0, sitemaps: bool = True) -> RobotsRead | str:
    return judge_robots(ORIGIN, f"{ORIGIN}/robots.txt", hops, result, sitemaps=sitemaps, retries=1)


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


@pytest.mark.parametrize(
    ("status", "text"),
    [(200, "Disallow: /\n"), (401, ""), (404, ""), (410, ""), (204, ""), (429, None), (500, None), (503, None)],
)
def test_status_of_robots(status: int, text: str | None) -> None:
    read = _judge(_answer(status, b"Disallow: /\n"))
    assert isinstance(read, RobotsRead)
    assert read.text == text
    assert read.error == ("robots-status" if text is None else "")


def test_robots_of_a_dead_host_forbids_all() -> None:
    read = _judge(Failure("connection", "refused"))
    assert isinstance(read, RobotsRead)
    assert (read.text, read.error, read.retries) == (None, "connection", 1)


def test_redirected_robots() -> None:
    moved = _answer(301, Location="http://other.example/r.txt")
    assert _judge(moved) == "http://other.example/r.txt"
    assert _judge(moved, hops=4) == "http://other.example/r.txt"
    sixth = _judge(moved, hops=5)
    assert isinstance(sixth, RobotsRead)
    assert sixth.text == ""  # the sixth redirect is not followed: as if there were none
    nowhere = _judge(_answer(302, Location="mailto:x@y.z"))
    assert isinstance(nowhere, RobotsRead)
    assert (nowhere.text, nowhere.error) == (None, "bad-redirect")


def test_sitemaps_that_robots_names() -> None:
    body = b"\xef\xbb\xbfSitemap: /map.xml\nSitemap: http://o.example/m.xml\nSitemap: /map.xml\n"
    read = _judge(_answer(200, body))
    assert isinstance(read, RobotsRead)
    assert read.found == (f"{ORIGIN}/map.xml", "http://o.example/m.xml")
    unread = _judge(_answer(200, body), sitemaps=False)
    assert isinstance(unread, RobotsRead)
    assert unread.found == ()


def test_a_sitemap_at_no_address_is_passed_over() -> None:
    read = _judge(_answer(body=b"Sitemap: https://[::1\nSitemap: /s.xml\n"))
    assert isinstance(read, RobotsRead)
    assert read.found == (f"{ORIGIN}/s.xml",)


def test_a_long_robots_is_read_to_its_last_whole_line(site: Any) -> None:
    line = b"Disallow: /0123456789\n"
    body = b"User-agent: *\n" + line * (MAX_ROBOTS_BYTES // len(line) + 1000)
    site.pages["/robots.txt"] = type(site.pages.get("/", None) or _reply(site))(body)
    fetcher = Fetcher(site.config(max_bytes=100))
    result = fetcher.ask(f"{ORIGIN}/robots.txt", MAX_ROBOTS_BYTES, cut=True)
    fetcher.close()
    assert isinstance(result, Answer)
    assert len(result.body) == MAX_ROBOTS_BYTES
    read = _judge(result)
    assert isinstance(read, RobotsRead)
    assert read.text is not None
    assert read.text.endswith("/0123456789\n")
    assert MAX_ROBOTS_BYTES - len(line) < len(read.text) <= MAX_ROBOTS_BYTES


def _reply(site: Any) -> Any:
    site.link("/")
    return site.pages["/"]


def test_a_host_is_asked_after_its_pause() -> None:
    pace = Pace(0.1)
    now = time.monotonic()
    assert (pace.ready_at("a") or 0) <= now
    pace.begin("a")
    assert pace.ready_at("a") is None
    assert pace.ready_at("b") is not None
    time.sleep(0.02)
    pace.end("a")
    assert (pace.ready_at("a") or 0) >= now + 0.12
    pace.begin("a")
    pace.end("a", 5.0)
    assert (pace.ready_at("a") or 0) >= now + 5
    pace.slow_down("b", 7.0)
    pace.begin("b")
    pace.end("b")
    assert (pace.ready_at("b") or 0) >= now + 7


def test_several_connections_to_a_host_start_one_delay_apart() -> None:
    pace = Pace(0.5, 2)
    now = time.monotonic()
    pace.begin("a")
    assert now + 0.5 <= (pace.ready_at("a") or 0) <= time.monotonic() + 0.5
    pace.begin("a")
    begun = time.monotonic()
    assert pace.ready_at("a") is None
    time.sleep(0.01)
    pace.end("a")
    assert now + 0.5 <= (pace.ready_at("a") or 0) <= begun + 0.5
    pace.slow_down("a", 0.6)  # a Crawl-delay: one connection
    assert pace.ready_at("a") is None


def test_a_restarted_crawl_waits_first() -> None:
    now = time.monotonic()
    assert (Pace(3.0, asked_before=True).ready_at("a") or 0) >= now + 3
    assert (Pace(3.0).ready_at("a") or 0) <= now


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


def test_retry_after_in_seconds_and_as_a_date() -> None:
    assert retry_after_seconds(_answer(503, Retry_After="7")) == 7
    assert retry_after_seconds(_answer(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")) == 0
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    seconds = retry_after_seconds(_answer(429, Retry_After=later.strftime("%a, %d %b %Y %H:%M:%S GMT")))
    assert 30 < seconds <= 90
    assert retry_after_seconds(_answer(503, Retry_After="soon")) == 0
    assert retry_after_seconds(_answer(503, Retry_After=f"Wed, {'9' * 400} Oct 2015 07:28:00 GMT")) == 0
    assert retry_after_seconds(_answer(503, Retry_After=f"Wed, 21 Oct {'9' * 30} 07:28:00 GMT")) == 0
    assert retry_after_seconds(_answer(200, Retry_After="7")) == 0
    assert retry_after_seconds(Failure("connection", "")) == 0
