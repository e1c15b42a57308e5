"""What the ledger keeps of manifests: as good as the manifests, and no more than a help."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from fake_units import FakeCorpus

from flows.backfill.known_manifests import BYTES_NOTE, KnownManifests
from flows.backfill.plan import make_plan
from schemas import manifest as manifests
from schemas.catalog import manifest_of
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import Manifest, TableRecord, write_manifest

KEY = PartitionKey("web", "1")


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The manifests that are read from now on."""
    seen: list[str] = []
    read = manifests.read_manifest
    monkeypatch.setattr(
        "flows.backfill.known_manifests.read_manifest", lambda folder: seen.append(folder.url) or read(folder)
    )
    return seen


def made(digest: str = "d", url: str = "a\u2028b\tc\n") -> Manifest:
    file = manifests.OutputFile(name="p", rows=3, bytes=9)
    return Manifest(
        stage="clean",
        stage_version=1,
        source="web",
        partition="1",
        fingerprint="f",
        config={"a": {"b": 1}},
        inputs=(manifests.InputRecord(name=url, digest="1:2"),),
        tables={"documents": TableRecord(rows=3, digest=digest, files=(file,))},
        counts={"documents": 3},
        seconds=1.5,
        workers=2,
    )


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> CorpusRoot:
    return CorpusRoot(str(tmp_path) if request.param == "local" else f"memory://corpus-{uuid.uuid4().hex}")


def test_the_second_look_reads_one_file_and_tells_the_same(root: CorpusRoot, monkeypatch: pytest.MonkeyPatch):
    write_manifest(root.partition_folder("documents", KEY), made())
    first = KnownManifests(root)
    assert first.manifest("documents", KEY) == made()
    assert first.manifest("documents", PartitionKey("web", "2")) is None
    first.save()
    seen = reads(monkeypatch)
    again = KnownManifests(root).manifest("documents", KEY)
    assert not seen
    assert again is not None
    slim = {"rows": 3, "digest": "d", "files": ()}
    assert again.model_dump(exclude={"tables", "notes"}) == made().model_dump(exclude={"tables", "notes"})
    assert again.tables["documents"].model_dump() == slim
    assert again.notes == {BYTES_NOTE: 9}
    assert again.digest() == made().digest()


def test_a_manifest_that_was_written_again_is_read_again(root: CorpusRoot):
    write_manifest(root.partition_folder("documents", KEY), made())
    known = KnownManifests(root)
    known.manifest("documents", KEY)
    known.save()
    write_manifest(root.partition_folder("documents", KEY), made("e"))
    again = KnownManifests(root).manifest("documents", KEY)
    assert again is not None
    assert again.tables["documents"].digest == "e"
    known.forget()
    root.partition_folder("documents", KEY).remove("manifest.json")
    assert known.manifest("documents", KEY) is None


@pytest.mark.parametrize("content", [b"", b"something else\n", b"corpusmill manifests 1\nx\ty", b"\xff\xfe"])
def test_a_ledger_that_is_damaged_is_as_one_that_is_lost(tmp_path: Path, content: bytes):
    root = CorpusRoot(str(tmp_path))
    write_manifest(root.partition_folder("documents", KEY), made())
    root.folder.child("ledger").put_whole("manifests.tsv", content)
    assert KnownManifests(root).manifest("documents", KEY) == made()


def test_a_corpus_that_cannot_be_written_can_be_planned(tmp_path: Path):
    root = CorpusRoot(str(tmp_path))
    write_manifest(root.partition_folder("documents", KEY), made())
    (tmp_path / "ledger").write_text("in the way")
    known = KnownManifests(root)
    assert known.manifest("documents", KEY) == made()
    known.save()


def test_a_plan_out_of_the_ledger_is_the_plan_out_of_manifests(corpus: FakeCorpus, monkeypatch: pytest.MonkeyPatch):
    corpus.chain("1", "2", "3")
    corpus.raw("2", "another page")
    asked = corpus.asked("corpus", "1..4")
    first = make_plan(asked)
    seen = reads(monkeypatch)
    second = make_plan(asked)
    assert not seen
    told = [[(unit.decision, unit.reason) for unit in units.values()] for units in first.units.values()]
    assert told == [[(unit.decision, unit.reason) for unit in units.values()] for units in second.units.values()]
    assert manifest_of(second.view, "documents", KEY) is not None
