"""300 pages on four hosts and all that crawlers fall into: polite, complete, and the same after any kill."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import files, wait_until
from trap_site import HOSTS, LIMIT_BYTES, TrapSite, serve
from warcio.archiveiterator import ArchiveIterator

from pipelines.crawl.crawler import JOURNAL_NAME
from pipelines.crawl.journal import Journal, Visit
from pipelines.engine.unit import UnitOutcome
from schemas.configs.crawl import CrawlConfig
from schemas.corpus_root import CorpusRoot, PartitionKey

pytestmark = pytest.mark.slow

Crawl = Callable[..., UnitOutcome]
DELAY = 0.02
_SCRIPT = """
import sys, time
from pipelines.crawl.stage import run
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from schemas.configs.crawl import CrawlConfig
from schemas.corpus_root import CorpusRoot
config = CrawlConfig.model_validate_json(sys.argv[2])
run(StageRequest(root=CorpusRoot(sys.argv[1]), config=config, engine=Engine(), source="web", partition="1"))
time.sleep(600)
"""


@pytest.fixture
def site() -> Iterator[TrapSite]:
    yield from serve(TrapSite())


def _config(site: TrapSite, **settings: object) -> CrawlConfig:
    values = {
        "seed_urls": [*(f"http://{host}/" for host in HOSTS), f"http://{HOSTS[0]}/to-private"],
        "connect_to": site.connect_to,
        "delay_seconds": DELAY,
        "retry_seconds": 0.1,
        "timeout_seconds": 60,
        "retries": 1,
        "max_bytes": LIMIT_BYTES,
        "max_query_variants": 10,
        **settings,
    }
    return CrawlConfig.model_validate(values)


def _stored(root: CorpusRoot, outcome: UnitOutcome) -> list[tuple[str, str]]:
    """Status and URL of every response."""
    folder = Path(root.partition_folder("crawl", outcome.key).path())
    found = []
    for file in outcome.manifest.tables["crawl"].files:
        with (folder / file.name).open("rb") as stream:
            for record in ArchiveIterator(stream):
                if record.rec_type == "response":
                    url = record.rec_headers.get_header("WARC-Target-URI")
                    found.append((record.http_headers.get_statuscode(), url))
    return found


def _comparable(outcome: UnitOutcome) -> dict[str, object]:
    """What must not depend on when answers came; tries do, because the server is in trouble at its own times."""
    manifest = outcome.manifest
    counts = {name: count for name, count in manifest.counts.items() if name not in {"retries", "robots_files"}}
    return {"digest": manifest.digest(), "counts": counts, "notes": manifest.notes}


def test_polite_and_complete(site: TrapSite, crawl_into: Crawl, corpus_root: CorpusRoot) -> None:
    site.drips = True
    outcome = crawl_into(_config(site, timeout_seconds=2))  # twice, and again, for the page that drips
    pages = [url for status, url in _stored(corpus_root, outcome) if status == "200"]
    assert sorted(pages) == sorted(site.expected_pages())
    counts = outcome.manifest.counts
    assert counts["pages"] == len(pages) == 4 * (75 - 6 + 1 + 9 + 10)
    expected = {
        "noindex": 8,
        "other_content_types": 4,
        "error_too-large": 4,
        "error_status-500": 4,
        "error_status-404": 4,
        "error_connection": 4,  # the page that drips
        "error_too-many-redirects": 4,
        "error_private-address": 1,
        "robots_denied": 4,
        "links_not_followed": 4,
        "links_query_variants": 4,
        "links_repeated_segments": 4,
        "links_too_many_segments": 4,
        "sitemaps": 8,
        "links_outside": 4,
        "not_asked_for": 0,
    }
    assert {name: counts[name] for name in expected} == expected
    assert len(outcome.manifest.notes["noindex"]) == 8
    asked = {one.path for one in site.asked}
    assert not asked & {"/secret/plan", "/unwanted"}
    for host in HOSTS:
        assert site.most_at_once(host) == 1
        assert site.shortest_gap(host) >= DELAY
    moments = {one.begin: one.host for one in site.asked}
    turns = [moments[moment] for moment in sorted(moments)]
    assert len({*turns[: len(turns) // 4]}) == 4, "hosts are asked side by side"


def test_several_connections_to_a_host(site: TrapSite, crawl_into: Crawl, corpus_root: CorpusRoot) -> None:
    one = crawl_into(_config(site))
    site.asked.clear()
    site.gather = 3
    three = crawl_into(_config(site, host_connections=3), partition="2")
    assert _comparable(three) == _comparable(one)
    assert max(site.most_at_once(host) for host in HOSTS) == 3
    assert all(site.most_at_once(host) <= 3 for host in HOSTS)


@pytest.mark.parametrize("limit", [{"max_pages": 50}, {"max_total_bytes": 60_000, "max_bytes": 4000}])
def test_limits_give_the_same_pages_whoever_is_quick(
    site: TrapSite, crawl_into: Crawl, corpus_root: CorpusRoot, limit: dict[str, int]
) -> None:
    serial = crawl_into(_config(site, connections=1, **limit))
    site.asked.clear()
    site.latency_seconds = 0.01
    parallel = crawl_into(_config(site, host_connections=4, **limit), partition="2")
    assert _comparable(parallel) == _comparable(serial)
    assert len(site.good_answers()) <= parallel.manifest.counts["pages"] + 4 * 3 + 8  # robots.txt, sitemaps, noindex


def _journaled(root: CorpusRoot) -> set[str]:
    work = Path(root.work_folder("crawl", PartitionKey("web", "1")).path())
    for path in files(work, f"**/{JOURNAL_NAME}"):
        copy = path.with_name("copy")
        copy.write_bytes(path.read_bytes())
        journal = Journal(copy)
        urls = {entry.url for _, entry in journal.lines() if isinstance(entry, Visit)}
        journal.close()
        copy.unlink()
        return urls
    return set()


def _kill(process: subprocess.Popen[bytes], root: CorpusRoot, lines: int, seconds: float) -> None:
    """Kill when the journal has so many lines, and a moment later."""
    wait_until(lambda: len(_journaled(root)) >= lines, f"{lines} URLs in the journal")
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_killed_at_random_moments(site: TrapSite, crawl_into: Crawl, corpus_root: CorpusRoot, repository: Path) -> None:
    config = _config(site, warc_bytes=40_000, connections=6, host_connections=2)
    undisturbed = crawl_into(config, partition="undisturbed")
    site.asked.clear()
    draw = random.Random(11)
    lost: Counter[str] = Counter()
    kills = sorted(draw.randrange(5, 330) for _ in range(4))
    for lines in kills:
        process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, corpus_root.url, config.model_dump_json()],
            cwd=repository,
            env={**os.environ, "PYTHONPATH": str(repository)},
            stderr=subprocess.DEVNULL,
        )
        _kill(process, corpus_root, lines, draw.random() * 0.1)
        site.settle()
        journaled = _journaled(corpus_root)
        pages = {url for url in site.good_answers() if url in site.expected_pages()}
        lost.update(pages - journaled)
        assert len(pages - journaled) <= config.connections
    resumed = crawl_into(config)
    assert _comparable(resumed) == _comparable(undisturbed)
    answers = site.good_answers()
    twice = {url: answers[url] - 1 for url in site.expected_pages() if answers[url] > 1}
    # A page is fetched again only where a kill came between its answer and its line in the journal.
    assert all(count <= lost[url] for url, count in twice.items())
    assert sum(lost.values()) <= config.connections * len(kills)
    for host in HOSTS:
        assert site.most_at_once(host) <= 2
