"""Common Crawl as a source, from a server of our own that has real WARC files and real faults."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from file_server import FileServer, serve_files

from pipelines.cleaning.stage import pending, run
from pipelines.corpus_digest import corpus_digest
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.sources.common_crawl import SnapshotSlice, slice_files, slice_of
from schemas.catalog import read_table
from schemas.configs.clean import CleanConfig
from schemas.configs.sources import CommonCrawlConfig, FetchConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ConfigError, InputError, StageError
from schemas.manifest import Manifest

SNAPSHOT = "CC-MAIN-2024-22"
# Real crawls, each as a file of the snapshot; the WET file is of the page in the first WARC file.
WARCS = (
    "whirlwind/whirlwind.warc.gz",
    "jwarc/cc.warc.gz",
    "ukwa/BL-20140325122341434-00000-32090~opera~8443.warc.gz",
    "aut/example.txt.warc.gz",
)
QUICK = {"attempts": 4, "first_wait_seconds": 0.001, "longest_wait_seconds": 0.01, "timeout_seconds": 60}


def _path(number: int, kind: str) -> str:
    return f"crawl-data/{SNAPSHOT}/segments/17159710{number}.39/{kind}/CC-MAIN-20240518-0000{number}.{kind}.gz"


def _list(folder: Path, kind: str, paths: list[str]) -> None:
    listing = folder / "crawl-data" / SNAPSHOT / f"{kind}.paths.gz"
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_bytes(gzip.compress("".join(path + "\n" for path in paths).encode()))


@pytest.fixture
def crawl(tmp_path: Path, shared_data: Path) -> Iterator[FileServer]:
    folder = tmp_path / "mirror"
    for kind, names in {"warc": WARCS, "wet": ("whirlwind/whirlwind.warc.wet.gz",)}.items():
        paths = [_path(number, kind) for number in range(len(names))]
        for path, name in zip(paths, names, strict=True):
            (folder / path).parent.mkdir(parents=True)
            shutil.copyfile(shared_data / "warc" / name, folder / path)
        _list(folder, kind, paths)
    with serve_files(folder) as served:
        yield served


def request(root: CorpusRoot, base: str, partition: str, source: str = "cc", **crawl: Any) -> StageRequest[CleanConfig]:
    settings = {
        "rules": [],
        "extractor": "resiliparse",
        "fetch": QUICK,
        "common_crawl": {"base_url": base, **crawl},
    }
    config = CleanConfig.model_validate(settings)
    return StageRequest(root=root, config=config, engine=Engine(), source=source, partition=partition)


def clean(root: CorpusRoot, base: str, partition: str, **crawl: Any) -> Manifest:
    manifest = run(request(root, base, partition, **crawl)).outcomes[0].manifest
    assert manifest.counts["items"] == sum(manifest.counts[table] for table in ("documents", "dropped", "dead"))
    return manifest


def test_a_slice_through_faults_is_what_it_is_without(tmp_path: Path, crawl: FileServer) -> None:
    digests = {}
    for name in ("good", "faulty", "no ranges"):
        crawl.ranges = name != "no ranges"
        if name != "good":
            crawl.refusals = [503, 503, 500]
            crawl.cut_after = [None, 5_000, None, 100_000, None, None, 70_000, 2_000, None, 200_000]
        root = CorpusRoot(str(tmp_path / name))
        manifest = clean(root, crawl.url, f"{SNAPSHOT}/00000-00003")
        assert [record.name for record in manifest.inputs] == [crawl.url + _path(n, "warc") for n in range(4)]
        assert crawl.refusals == []
        assert not crawl.cut_after
        digests[name] = corpus_digest(root).total
        assert pending(request(root, crawl.url, f"{SNAPSHOT}/00000-00003")) == 0
    assert digests["good"] == digests["faulty"] == digests["no ranges"]
    assert manifest.counts["items.revisit"] == 55


def test_other_thresholds_read_again_what_they_need(tmp_path: Path, crawl: FileServer) -> None:
    key = PartitionKey("cc", f"{SNAPSHOT}/00000-00003")

    def clean_with(root: CorpusRoot, words: int) -> Manifest:
        asked = request(root, crawl.url, key.partition)
        changed = {"rules": ("words-at-least",), "thresholds": {"words-at-least": words}}
        config = asked.config.model_copy(update=changed)
        return run(replace(asked, config=config)).outcomes[0].manifest

    scratch, moved = CorpusRoot(str(tmp_path / "scratch")), CorpusRoot(str(tmp_path / "moved"))
    once = clean_with(scratch, 20)
    strict = clean_with(moved, 300)
    crawl.refusals = [503, 500]
    crawl.cut_after = [None, 5_000, 100_000]
    again = clean_with(moved, 20)
    assert 0 < strict.counts["documents"] < again.counts["documents"]
    assert again.notes["retuned"]["read_again"] == once.counts["documents"] - strict.counts["documents"]
    assert (again.counts, again.inputs) == (once.counts, once.inputs)
    assert corpus_digest(moved).total == corpus_digest(scratch).total


def test_one_file_from_a_folder_and_as_wet(corpus_root: CorpusRoot, crawl: FileServer) -> None:
    key = PartitionKey("cc", f"{SNAPSHOT}/0")
    base = str(crawl.folder)
    assert clean(corpus_root, base, key.partition).counts["items.response"] == 1
    assert clean(corpus_root, base, key.partition, kind="wet").counts["items.conversion"] == 1
    (row,) = read_table(corpus_root, "documents", key).to_pylist()
    assert row["record_file"] == f"{base}/{_path(0, 'wet')}"
    assert row["url"].startswith("https://an.wikipedia.org/")


def test_a_source_of_that_name_needs_no_setting(corpus_root: CorpusRoot, crawl: FileServer) -> None:
    given = request(corpus_root, crawl.url, f"{SNAPSHOT}/00001", "common_crawl")
    config = given.config.model_copy(update={"common_crawl": None})
    plain = StageRequest(
        root=corpus_root, config=config, engine=Engine(), source="common_crawl", partition="no-such-snapshot"
    )
    with pytest.raises(
        ConfigError, match="partition no-such-snapshot does not say which files of Common Crawl to read"
    ):
        run(plain)
    assert run(given).outcomes[0].manifest.counts["items"] == 1


def test_what_never_comes_fails_the_partition_and_nothing_is_committed(
    corpus_root: CorpusRoot, crawl: FileServer
) -> None:
    crawl.always_cut = 100_000
    crawl.ranges = False
    with pytest.raises(StageError, match=r"attempts in a row failed, the last at byte \d+ of 261120 .*run the same"):
        clean(corpus_root, crawl.url, f"{SNAPSHOT}/00002")
    assert read_table(corpus_root, "documents", PartitionKey("cc", f"{SNAPSHOT}/00002")).num_rows == 0


@pytest.mark.parametrize(
    ("settings", "partition", "wanted"),
    [
        ({}, "CC-MAIN-2024-22/00012", SnapshotSlice("CC-MAIN-2024-22", 12, 12)),
        ({}, "CC-MAIN-2024-22/00000-00009", SnapshotSlice("CC-MAIN-2024-22", 0, 9)),
        ({"snapshot": "CC-MAIN-2012", "first": 3, "last": 5}, "trial", SnapshotSlice("CC-MAIN-2012", 3, 5)),
        ({"snapshot": "CC-MAIN-2009-2010", "first": 3}, "trial", SnapshotSlice("CC-MAIN-2009-2010", 3, 3)),
        ({"first": 12}, "CC-MAIN-2024-22/00012", SnapshotSlice("CC-MAIN-2024-22", 12, 12)),
    ],
)
def test_settings_and_name_say_which_slice(settings: dict[str, Any], partition: str, wanted: SnapshotSlice) -> None:
    assert slice_of(CommonCrawlConfig.model_validate(settings), partition) == wanted


@pytest.mark.parametrize(
    ("settings", "partition", "message"),
    [
        ({}, "trial", "give common_crawl.snapshot, or name the partition SNAPSHOT/FIRST-LAST"),
        ({"snapshot": "CC-MAIN-2024-22"}, "trial", "give common_crawl.first"),
        ({"first": 3}, "CC-MAIN-2024-22/00004", "common_crawl.first is 3, but partition CC-MAIN-2024-22/00004 means 4"),
        ({}, "CC-MAIN-2024-22/00004-00003", "files 4 to 3 of CC-MAIN-2024-22 are none; give a first <= last"),
    ],
)
def test_slices_that_are_none(settings: dict[str, Any], partition: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        slice_of(CommonCrawlConfig.model_validate(settings), partition)


def test_two_places_to_read_from(corpus_root: CorpusRoot, tmp_path: Path) -> None:
    given = request(corpus_root, str(tmp_path), f"{SNAPSHOT}/0")
    both = StageRequest(
        root=given.root, config=given.config, engine=Engine(), source="cc", partition="one", inputs=(str(tmp_path),)
    )
    with pytest.raises(ConfigError, match="common_crawl are two places to read from; give one of them"):
        run(both)


def test_listings_that_cannot_be_used(crawl: FileServer) -> None:
    fetch = FetchConfig.model_validate(QUICK)

    def files(partition: str, base: str = crawl.url) -> Any:
        return slice_files(CommonCrawlConfig.model_validate({"base_url": base}), partition, fetch)

    with pytest.raises(InputError, match=f"{SNAPSHOT} has 4 WARC files, 0 to 3; there is no file 4"):
        files(f"{SNAPSHOT}/00002-00004")
    with pytest.raises(InputError, match=r"the server answers 404"):
        files("CC-MAIN-1999-01/0")
    tricks = ("../../etc/passwd", "/etc/passwd", "crawl-data/../../x", "http://elsewhere.example/x", "crawl-data/.x/y")
    for number, trick in enumerate(tricks):
        base = crawl.folder / f"mirror-{number}"
        _list(base, "warc", [trick])
        with pytest.raises(InputError, match=r"the listing .*warc.paths.gz names .*, which is no file of Common Crawl"):
            files(f"{SNAPSHOT}/0", str(base))
    listing = crawl.folder / "crawl-data" / SNAPSHOT / "warc.paths.gz"
    cut = crawl.folder / "cut" / "crawl-data" / SNAPSHOT
    cut.mkdir(parents=True)
    (cut / "warc.paths.gz").write_bytes(listing.read_bytes()[:-9])
    with pytest.raises(
        InputError, match=r"the listing .*warc.paths.gz is damaged: .*give another common_crawl.base_url"
    ):
        files(f"{SNAPSHOT}/0", str(crawl.folder / "cut"))
