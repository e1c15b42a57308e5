"""Which slices of Common Crawl are missing: told from a real listing of snapshots and what a corpus has."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from flows.snapshots import SliceDecision, decide, look_for_slices
from pipelines.sources.common_crawl import list_snapshots
from schemas.configs.flows import WatchSnapshotsParameters
from schemas.configs.sources import FetchConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError
from schemas.manifest import Manifest, write_manifest

FETCH = FetchConfig()
# As the index server has it: the newest first, one key missing here and there, old names of other forms.
LISTED = [
    {
        "id": "CC-MAIN-2026-34",
        "name": "August 2026 Index",
        "timegate": "https://index.example/CC-MAIN-2026-34/",
        "cdx-api": "https://index.example/CC-MAIN-2026-34-index",
        "from": "2026-08-07T00:12:06",
        "to": "2026-08-21T03:58:41",
    },
    {"id": "CC-MAIN-2026-30", "name": "July 2026 Index"},
    {"id": "CC-MAIN-2026-09", "name": "February 2026 Index"},
    {"id": "CC-MAIN-2012", "name": "Index of 2012 ARC files"},
    {"id": "CC-MAIN-2008-2009", "name": "Index of 2008 - 2009 ARC files"},
    {"id": "CC-NEWS-2026", "name": "of another kind"},
]
SNAPSHOTS = ["CC-MAIN-2008-2009", "CC-MAIN-2012", "CC-MAIN-2026-09", "CC-MAIN-2026-30", "CC-MAIN-2026-34"]


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A copy of Common Crawl with listings alone, of seven files a snapshot."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "collinfo.json").write_text(json.dumps(LISTED))
    for snapshot in SNAPSHOTS[2:]:
        paths = [f"crawl-data/{snapshot}/segments/1.1/warc/{number:05}.warc.gz\n" for number in range(7)]
        (mirror / "crawl-data" / snapshot).mkdir(parents=True)
        (mirror / "crawl-data" / snapshot / "warc.paths.gz").write_bytes(gzip.compress("".join(paths).encode()))
    return mirror


def asked(mirror: Path, root: str = "corpus", **more) -> WatchSnapshotsParameters:
    return WatchSnapshotsParameters(root=root, index_url=str(mirror), base_url=str(mirror), **more)


def builds(decisions: list[SliceDecision]) -> list[str]:
    return [one.partition for one in decisions if one.decision == "build"]


def test_snapshots_are_listed_the_oldest_first(mirror: Path):
    assert list_snapshots(str(mirror), FETCH) == SNAPSHOTS


@pytest.mark.parametrize("content", ["<html>gone</html>", '{"id": 1}', "[1]", '[{"name": "x"}]'])
def test_a_list_that_is_none_is_named(mirror: Path, content: str):
    (mirror / "collinfo.json").write_text(content)
    with pytest.raises(InputError, match=r"collinfo\.json is no list of snapshots: .*give the URL below which"):
        list_snapshots(str(mirror), FETCH)


def test_an_empty_list_is_named(mirror: Path, corpus_root: CorpusRoot):
    (mirror / "collinfo.json").write_text("[]")
    with pytest.raises(InputError, match=r"lists no snapshot of Common Crawl; give the URL of its index server"):
        look_for_slices(asked(mirror, corpus_root.url))


def test_an_empty_corpus_begins_with_the_newest(mirror: Path):
    decisions = decide(asked(mirror), SNAPSHOTS, [], [])
    assert builds(decisions) == ["CC-MAIN-2026-34/00000"]
    alone = [one for one in decisions if one.decision == "left alone"]
    assert [one.snapshot for one in alone] == SNAPSHOTS[:4]
    assert {one.reason for one in alone} == {"older than CC-MAIN-2026-34"}


def test_what_is_newer_than_the_oldest_there_is_missing(mirror: Path):
    there = ["CC-MAIN-2026-30/00000", "2026-07", "CC-MAIN-2026-34/00000-00001"]
    decisions = decide(asked(mirror, slices=2), SNAPSHOTS, there, there[:1])
    assert builds(decisions) == ["CC-MAIN-2026-30/00001", "CC-MAIN-2026-34/00000", "CC-MAIN-2026-34/00001"]
    assert [one.partition for one in decisions if one.decision == "there"] == ["CC-MAIN-2026-30/00000"]


def test_the_first_snapshot_may_be_given(mirror: Path):
    decisions = decide(asked(mirror, first_snapshot="CC-MAIN-2026-09"), SNAPSHOTS, ["CC-MAIN-2026-34/00000"], [])
    assert builds(decisions) == [f"{snapshot}/00000" for snapshot in SNAPSHOTS[2:]]


def test_slices_end_with_the_snapshot(mirror: Path):
    decisions = decide(asked(mirror, slices=5, files=3), SNAPSHOTS, [], [])
    assert builds(decisions) == [f"CC-MAIN-2026-34/{files}" for files in ("00000-00002", "00003-00005", "00006")]


def test_files_count_however_partitions_were_cut(mirror: Path):
    finished = ["CC-MAIN-2026-34/00000-00003"]
    assert builds(decide(asked(mirror, slices=3, files=2), SNAPSHOTS, finished, finished)) == [
        "CC-MAIN-2026-34/00004-00005"
    ]


def test_a_snapshot_that_has_no_files_yet_stops_no_other(mirror: Path):
    (mirror / "crawl-data" / "CC-MAIN-2026-30" / "warc.paths.gz").unlink()
    decisions = decide(asked(mirror, first_snapshot="CC-MAIN-2026-30"), SNAPSHOTS, [], [])
    assert builds(decisions) == ["CC-MAIN-2026-34/00000"]
    (failed,) = [one for one in decisions if one.decision == "failed"]
    assert failed.snapshot == "CC-MAIN-2026-30"
    assert "warc.paths.gz" in failed.reason


def test_done_is_what_has_token_shards(mirror: Path, corpus_root: CorpusRoot):
    key = PartitionKey("common_crawl", "CC-MAIN-2026-34/00000")
    about = {"stage": "x", "stage_version": 1, "source": key.source, "partition": key.partition, "fingerprint": "f"}
    manifest = Manifest(**about, config={}, inputs=(), tables={})
    parameters = asked(mirror, corpus_root.url)
    for table, left in {"documents": [key.partition], "tokens/bpe/train": []}.items():
        write_manifest(corpus_root.partition_folder(table, key), manifest)
        assert builds(look_for_slices(parameters)) == left
    other = parameters.model_copy(update={"source": "other"})
    assert builds(look_for_slices(other)) == [key.partition]
