"""A crawl that is killed goes on where it stopped and ends as if nothing had been."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.crawl import crawler, warc_files
from pipelines.engine.unit import UnitOutcome
from schemas.configs.crawl import CrawlConfig
from schemas.corpus_root import MANIFEST_NAME, CorpusRoot, PartitionKey
from schemas.storage import Folder

Crawl = Callable[..., UnitOutcome]

_SCRIPT = """
import sys
from pipelines.crawl.stage import run
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from schemas.configs.crawl import CrawlConfig
from schemas.corpus_root import MANIFEST_NAME, CorpusRoot
config = CrawlConfig.model_validate_json(sys.argv[2])
run(StageRequest(root=CorpusRoot(sys.argv[1]), config=config, engine=Engine(), source="web", partition="1"))
"""


def _build(site: Any, pages: int = 24) -> None:
    site.robots("User-agent: *\nDisallow: /no\nSitemap: /map.xml\n")
    for number in range(pages):
        targets = [f"/{number * 3 + step}" for step in (1, 2, 3)]
        site.link(f"/{number or ''}", *targets, "/missing", "/no", f"/moved{number}", text="word " * (number % 7 * 50))
        site.redirect(f"/moved{number}", f"/{(number * 7) % pages or ''}")
    site.link("/map.xml")


def _journal(root: CorpusRoot) -> Path | None:
    found = list(Path(root.work_folder("crawl", PartitionKey("web", "1")).path()).rglob(crawler.JOURNAL_NAME))
    return found[0] if found else None


def _done(root: CorpusRoot) -> list[str]:
    path = _journal(root)
    lines = path.read_bytes().splitlines(keepends=True) if path else []
    entries = [json.loads(line) for line in lines if line.endswith(b"\n")]
    return [entry.get("url") or f"{entry['origin']}/robots.txt" for entry in entries]


def _start(root: CorpusRoot, config: CrawlConfig, repository: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, root.url, config.model_dump_json()],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.slow
def test_killed_three_times_no_page_is_fetched_twice(
    site: Any, crawl_into: Crawl, corpus_root: CorpusRoot, repository: Path
) -> None:
    _build(site)
    config = site.config(delay_seconds=0.01, warc_bytes=8000)
    undisturbed = crawl_into(config, partition="undisturbed")
    whole = site.counts
    site.asked.clear()
    draw = random.Random(7)
    in_flight: Counter[str] = Counter()
    for kill in range(3):
        process = _start(corpus_root, config, repository)
        deadline = time.monotonic() + 60
        while len(_done(corpus_root)) < 10 * (kill + 1) and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(draw.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        time.sleep(0.05)  # a request that was under way reaches the server
        done = {url.removeprefix("http://site.example") for url in _done(corpus_root)}
        in_flight.update(path for path in set(site.paths) - done)
    resumed = crawl_into(config)
    assert resumed.status == "done"
    # What was on the disk is not asked for again; only the one answer that a kill cut off may be.
    assert sum(in_flight.values()) <= 3
    assert site.counts == whole + in_flight
    assert resumed.manifest.digest() == undisturbed.manifest.digest()
    assert resumed.manifest.counts == undisturbed.manifest.counts
    assert resumed.manifest.notes == undisturbed.manifest.notes


class _Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize("moment", range(0, 40, 6))
def test_killed_between_record_and_journal(
    site: Any, crawl_into: Crawl, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    _build(site, pages=12)
    config = site.config(warc_bytes=3000)
    undisturbed = crawl_into(config, partition="undisturbed").manifest
    left = moment
    append = warc_files.WarcFiles.append

    def dying(self: Any, *args: Any) -> Any:
        nonlocal left
        position = append(self, *args)
        left -= 1
        if left < 0:
            with (self._folder / warc_files.part_file(position.part)).open("ab") as stream:
                stream.write(b"\x1f\x8b\x08 half of the next member")
            raise _Killed
        return position

    with monkeypatch.context() as patch:
        patch.setattr(warc_files.WarcFiles, "append", dying)
        with contextlib.suppress(_Killed):  # a late moment never comes
            crawl_into(config)
    resumed = crawl_into(config).manifest
    assert resumed.digest() == undisturbed.digest()
    assert resumed.counts == undisturbed.counts


@pytest.mark.parametrize("moves", [0, 1, 2, 3])
def test_killed_while_committing(
    site: Any, crawl_into: Crawl, corpus_root: CorpusRoot, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    _build(site, pages=12)
    crawl_into(site.config(max_pages=5, warc_bytes=1))  # an older crawl of other settings lies there
    config = site.config(warc_bytes=3000)
    undisturbed = crawl_into(config, partition="undisturbed").manifest
    assert len(undisturbed.tables["crawl"].files) > 3
    move_in = Folder.move_in
    left = moves

    def dying(self: Folder, *args: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _Killed
        move_in(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "move_in", dying)
        with pytest.raises(_Killed):
            crawl_into(config)
    asked = len(site.asked)
    resumed = crawl_into(config)
    assert len(site.asked) == asked  # nothing was left to ask for
    assert resumed.manifest.digest() == undisturbed.digest()
    folder = corpus_root.partition_folder("crawl", resumed.key)
    assert folder.names() == sorted([file.name for file in resumed.manifest.tables["crawl"].files] + [MANIFEST_NAME])
