"""Corpora cleaned from real and hostile inputs by the functions of the stage, without Beam."""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flows.funnel_report.facts import FunnelFacts, read_funnel_facts
from pipelines.cleaning.row_counts import check_conservation, row_counts
from pipelines.cleaning.rows import RowMaker, settle_repeats
from pipelines.cleaning.stage import clean_unit
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.engine.staging import StagedTable, part_name, stage_parquet
from pipelines.engine.unit import Unit, UnitOutput, run_unit
from pipelines.quality.passages import Passage
from pipelines.quality.training import train
from pipelines.sources.census import take_census
from pipelines.sources.inputs import list_inputs
from pipelines.sources.reader import read_items
from pipelines.sources.source_format import ReadSettings
from schemas.configs.clean import CleanConfig
from schemas.configs.quality import QualityConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.identity import content_hash
from schemas.manifest import Manifest
from schemas.storage import Folder
from schemas.tables import TABLES

ATTACK = '<script>alert("x")</script>'
GOOD = "The {} of the valley was seen by travellers that have walked there, and it is to be found with ease."


def prose(number: int, sentences: int = 12) -> str:
    nouns = ("river", "castle", "garden", "bridge", "market", "tower", "orchard", "harbour", "meadow", "chapel")
    lines = (
        f"{GOOD.format(nouns[(number + n) % 10])} Number {number * 31 + n} stands on its gate, as {n * 7 + number} did."
        for n in range(sentences)
    )
    return "\n\n".join(lines)


def page(title: str, text: str) -> bytes:
    paragraphs = "".join(f"<p>{part}</p>" for part in text.split("\n\n"))
    return f"<html><head><title>{title}</title></head><body><article>{paragraphs}</article></body></html>".encode()


def write_warc(path: Path, pages: list[tuple[str, str, str, bytes]], *, compressed: bool = True) -> None:
    """Records of (URL, status, content type, body)."""
    records = []
    for number, (url, status, kind, body) in enumerate(pages):
        http = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n\r\n".encode() + body
        head = (
            f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{number}>\r\nWARC-Target-URI: {url}\r\n"
            "WARC-Date: 2026-01-02T03:04:05Z\r\nContent-Type: application/http; msgtype=response\r\n"
            f"Content-Length: {len(http)}\r\n\r\n"
        )
        record = head.encode() + http + b"\r\n\r\n"
        records.append(gzip.compress(record) if compressed else record)
    path.write_bytes(b"".join(records))


def clean_here(root: CorpusRoot, key: PartitionKey, given: Path, **settings: Any) -> None:
    """What the stage does, in this process."""
    config = CleanConfig.model_validate({"extractor": "resiliparse", **settings})
    files = list_inputs([str(given)], config.fetch)
    request = StageRequest(
        root=root, config=config, engine=Engine(), source=key.source, partition=key.partition, inputs=(str(given),)
    )

    def work(folder: Folder) -> UnitOutput:
        maker = RowMaker(key, config)
        rows: dict[str, list[dict[str, Any]]] = {"documents": [], "dropped": [], "dead": []}
        items: Counter[str] = Counter()
        for file in files:
            census = take_census(file, ReadSettings.of(config))
            items += census.items
            for piece in census.work:
                for item in read_items(piece, ReadSettings.of(config)):
                    table, row = maker.row(item)
                    rows[table].append(row)
        made = settle_repeats({name: pa.Table.from_pylist(mine, schema=TABLES[name]) for name, mine in rows.items()})
        staged = {
            name: StagedTable(
                folder.child(name),
                (
                    stage_parquet(
                        folder.child(name), part_name(0), table, ["document_id"] if name == "documents" else None
                    ),
                ),
            )
            for name, table in made.items()
        }
        check_conservation(items, staged)
        return UnitOutput(tables=staged, counts={"items": items.total(), **row_counts(staged)})

    run_unit(clean_unit(request, files), Engine(), work)


@pytest.fixture
def clean_into(corpus_root: CorpusRoot) -> Callable[..., CorpusRoot]:
    """Cleans inputs into a partition of `corpus_root`."""

    def into(given: Path, source: str, partition: str = "one", **settings: Any) -> CorpusRoot:
        clean_here(corpus_root, PartitionKey(source, partition), given, **settings)
        return corpus_root

    return into


def write_inputs(folder: Path) -> None:
    """A WARC file, one that is not compressed, and a page of its own; beside the folder, rows."""
    folder.mkdir()
    html = "text/html; charset=utf-8"
    hostile = f"http://x.example/{ATTACK}"
    attacked = page(ATTACK.replace("<", "&lt;"), f"{ATTACK.replace('<', '&lt;')} short, and it is cut off")
    write_warc(
        folder / "pages.warc.gz",
        [
            ("http://a.example/", "200 OK", html, page("Good", prose(1))),
            (hostile, "200 OK", html, attacked),
            ("http://a.example/gone", "404 Not Found", html, b"gone"),
            ("http://a.example/p.png", "200 OK", "image/png", b"\x89PNG\r\n\x1a\n\0\0"),
            ("http://a.example/few", "200 OK", html, page("Few words", "Only a few words stand here.")),
            (f"{hostile}/2", "200 OK", html, page(ATTACK.replace("<", "&lt;"), prose(2) + "\n\n&lt;script&gt;")),
        ],
    )
    few = [(f"http://b.example/{n}", "200 OK", html, page("Plain", f"Few words of page {n}.")) for n in range(3)]
    write_warc(folder / "plain.warc", few, compressed=False)
    rows = [{"text": prose(n, 3 + n % 9), "url": f"http://rows.example/{n}"} for n in range(20)]
    rows += [{"text": "same line here\n" * 9 + str(n), "url": f"http://rows.example/again/{n}"} for n in range(5)]
    rows += [rows[3], {"text": 5}]
    (folder.parent / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nno json\n")
    (folder / "own.html").write_bytes(page("Own", prose(5, 1)))


@pytest.fixture(scope="package")
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> CorpusRoot:
    """Two partitions of one source, and another source cleaned with no rules; not to be changed."""
    folder = tmp_path_factory.mktemp("funnel")
    root, rows = CorpusRoot(str(folder / "corpus")), folder / "rows.jsonl"
    write_inputs(folder / "raw")
    clean_here(root, PartitionKey("web", "one"), folder / "raw")
    clean_here(root, PartitionKey("web", "two"), rows, thresholds={"words-at-least": 100})
    clean_here(root, PartitionKey("raw", "all"), rows, rules=[])
    return root


@pytest.fixture(scope="package")
def facts(cleaned: CorpusRoot) -> FunnelFacts:
    """Of `cleaned`."""
    return read_funnel_facts(cleaned.url, 8)


@pytest.fixture
def own(cleaned: CorpusRoot, tmp_path: Path) -> CorpusRoot:
    """A copy of `cleaned` that a test may change; its raw files are those of `cleaned`."""
    shutil.copytree(cleaned.url, tmp_path / "own")
    return CorpusRoot(str(tmp_path / "own"))


@pytest.fixture
def write_raw() -> Callable[[Path], None]:
    """Writes the raw files of one partition of `cleaned`."""
    return write_inputs


@pytest.fixture
def real_classifier() -> Callable[[CorpusRoot], Manifest]:
    """Trains a classifier on passages made here, and commits it to a corpus as the stage does."""

    def into(root: CorpusRoot) -> Manifest:
        config = QualityConfig(positives=("books",), negatives=("web",), bits=10)
        samples = {
            source: [Passage(content_hash(f"{source}{n}"), 0, f"{words} number {n}") for n in range(60)]
            for source, words in (("books", "the old tale of the sea"), ("web", "click here to buy the tale"))
        }
        trained = train(samples, config)
        key = PartitionKey(config.name, "")
        unit = Unit(root=root, stage="quality", version=1, key=key, table="classifiers", config=config, inputs=())
        output = UnitOutput(tables={}, counts=trained.counts, notes=trained.notes)
        return run_unit(unit, Engine(), lambda _: output).manifest

    return into
