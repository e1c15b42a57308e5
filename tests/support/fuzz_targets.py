"""What is fuzzed: parsers that meet bytes which others wrote. A target returns, or raises one of the project's errors.

Anything else that it raises is a finding; so are an item that is counted and not read, and a row that cannot be stored.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import fuzz_seeds as seeds
import fuzz_stored_data as stored
import httpcore
import pyarrow as pa

from pipelines.cleaning.rows import RowMaker
from pipelines.crawl.fetch import Answer, Fetcher, retry_after_seconds
from pipelines.crawl.journal import Item as Question
from pipelines.crawl.journal import RobotsRead
from pipelines.crawl.links import read_page
from pipelines.crawl.robots import RobotsRules, judge_robots
from pipelines.crawl.sitemaps import sitemap_entries
from pipelines.crawl.visits import ask
from pipelines.sources.census import FileCensus, take_census
from pipelines.sources.http_content import parse_response
from pipelines.sources.inputs import InputFile
from pipelines.sources.items import Address, DeadItem, Item
from pipelines.sources.reader import read_items as read_source
from pipelines.sources.source_format import ReadSettings
from schemas.configs.clean import CleanConfig
from schemas.configs.crawl import CrawlConfig
from schemas.corpus_root import PartitionKey
from schemas.errors import CorpusmillError
from schemas.tables import DEAD, DOCUMENTS, DROPPED

_AGENT = "corpusmill/1.0"
_ORIGIN = "http://example.org"
_URL = "http://example.org/a/page.html"
_CONFIG = CrawlConfig(
    seed_urls=(_URL,), connect_to={"example.org:80": "127.0.0.1:9"}, user_agent=_AGENT, max_bytes=2**20
)
_CLEAN = CleanConfig(max_item_bytes=2**20)
_SETTINGS = ReadSettings.of(_CLEAN)
_TABLES = {"documents": DOCUMENTS, "dropped": DROPPED, "dead": DEAD}
_KEY = PartitionKey("web", "one")


class LostError(Exception):
    """An item that is counted is not read, or the other way round."""


def _answer(body: bytes) -> Answer:
    captured = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    return Answer("http://example.org/robots.txt", 200, "OK", (), (), body, False, "127.0.0.1", captured)


@cache
def _fetcher() -> Fetcher:
    return Fetcher(_CONFIG)


def _survey(data: bytes) -> tuple[FileCensus, list[Item | DeadItem]]:
    path = stored.scratch_file("input", data)
    taken = take_census(InputFile(path, len(data), "now"), _SETTINGS)
    found = [item for piece in taken.work for item in read_source(piece, _SETTINGS)]
    if taken.items.total() != len(found):
        raise LostError(f"{taken.items} were counted, {len(found)} items were read")
    return taken, found


def http_answer(data: bytes) -> None:
    """Whatever a server sends is judged, and what is stored of it can be read again."""
    _fetcher()._transport._pool._network_backend = httpcore.MockBackend([data])
    asked = ask(_fetcher(), Question(_URL), _CONFIG)
    if math.isnan(retry_after_seconds(asked.result)):
        raise LostError("a pause of no length")
    asked.visit.model_dump_json()
    if asked.records:
        _, (item,) = _survey(asked.records)
        if isinstance(item, DeadItem) or item.url != _URL or item.body != asked.result.body:
            raise LostError(f"stored as {item}")


def robots(data: bytes) -> None:
    """Any robots.txt allows or forbids."""
    read = judge_robots(
        "http://example.org", "http://example.org/robots.txt", 0, _answer(data), sitemaps=True, retries=0
    )
    rules = RobotsRules(RobotsRead.model_validate_json(read.model_dump_json()), _AGENT)
    rules.allows("http://example.org/private/%C3%BC?a=b")
    if math.isnan(rules.delay_seconds) or rules.delay_seconds < 0:
        raise LostError(f"a delay of {rules.delay_seconds} s")


def sitemap(data: bytes) -> None:
    """Any sitemap lists URLs that can be written down."""
    for url in chain(*sitemap_entries(data, 2**20)):
        url.encode("utf-8")


def links(data: bytes) -> None:
    """Any page has links that can be written down; its first bytes say which charset the server states."""
    charset, _, page = data.partition(b"\n") if data[:1] == b"@" else (b"", b"", data)
    found = read_page(page, charset[1:].decode("latin-1") or None, _URL, agent="corpusmill", headers=["noindex"])
    for url in found.targets:
        url.encode("utf-8")


def stored_http(data: bytes) -> None:
    """Any stored message is an answer; a body is cut off where it is longer than allowed."""
    if len(parse_response(data, 2**16).body) > 2**16 + 1:
        raise LostError("a body longer than allowed")


def archive(data: bytes) -> None:
    """As many items are read as are counted."""
    _survey(data)


@cache
def _row_maker() -> RowMaker:
    return RowMaker(_KEY, _CLEAN)


def _store(item: Item | DeadItem) -> None:
    table, row = _row_maker().row(item)
    pa.Table.from_pylist([row], schema=_TABLES[table]).validate(full=True)


def rows(data: bytes) -> None:
    """Rows of any file can be stored."""
    for item in _survey(data)[1][:3]:
        _store(item)


def page(data: bytes) -> None:
    """Any page gives a row that can be stored; its first line may state its type."""
    kind, _, body = data.partition(b"\n") if data[:1] == b"@" else (b"", b"", data)
    stated = kind[1:].decode("latin-1") or "text/html"
    address = Address(record_file="f", record_id="\ud800" if kind else None)
    _store(Item(kind="response", address=address, url=_URL, content_type=stated, status=200, body=body))


@dataclass(frozen=True)
class Target:
    """A parser, the seeds it begins with, and the longest input."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    longest: int = 4096


def targets(repository: Path) -> dict[str, Target]:
    """All of them, by name."""
    data = repository.parent / "shared" / "data"
    return {
        "http": Target(http_answer, seeds.http_answers),
        "robots": Target(robots, seeds.robots_texts),
        "sitemap": Target(sitemap, lambda: seeds.sitemaps(data)),
        "links": Target(links, lambda: [*seeds.pages(data), b"@utf-8\n<a href=x>"], 2**14),
        "stored-http": Target(stored_http, seeds.stored_responses),
        "warc": Target(archive, lambda: seeds.archives(data), 2**15),
        "rows": Target(rows, seeds.row_files, 2**14),
        "html": Target(page, lambda: [*seeds.pages(data), b"@text/html; charset=big5\n<p>text"], 2**14),
        "arrow": Target(stored.shard, stored.shard_seeds),
        "tokenizer": Target(stored.tokenizer, lambda: [seeds.tokenizer().to_str().encode()]),
        "manifest": Target(stored.manifest, stored.manifest_seeds),
        "toml": Target(stored.config, lambda: seeds.configs(repository), 2**13),
        "tasks": Target(stored.task_rows, seeds.task_rows, 2**13),
    }


def finding(target: Target, data: bytes) -> BaseException | None:
    """What a target raises that it must not raise."""
    try:
        target.run(data)
    except CorpusmillError:
        return None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        return error
    return None
