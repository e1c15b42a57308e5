from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from pipelines.engine import unit as unit_module
from pipelines.engine.settings import Engine
from pipelines.engine.staging import StagedTable, stage_parquet
from pipelines.engine.unit import Unit, UnitOutput, run_unit
from schemas.configs.base import StageConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import LeaseError
from schemas.lease import hold_lease
from schemas.manifest import InputRecord, read_manifest
from schemas.storage import Folder

KEY = PartitionKey("web", "p/1")


class Config(StageConfig):
    stage: ClassVar[str] = "clean"
    operational: ClassVar[frozenset[str]] = frozenset({"threads"})
    rules: tuple[str, ...] = ("a",)
    threads: int = 1


def unit(root: CorpusRoot, **changes: Any) -> Unit:
    values: dict[str, Any] = {
        "root": root,
        "stage": "clean",
        "version": 1,
        "key": KEY,
        "table": "documents",
        "config": Config(),
        "inputs": (InputRecord(name="a", digest="1"), InputRecord(name="b", digest="2")),
    }
    return Unit(**{**values, **changes})


def work(folder: Folder, documents: int = 2, dropped: int = 1) -> UnitOutput:
    """Tables of numbers; a part for each document."""
    tables = {}
    for name, count in (("documents", documents), ("dropped", dropped)):
        place = folder.child("staged", name)
        parts = [
            stage_parquet(place, f"part-{n:05d}.parquet", pa.table({"n": pa.array([n, n + 1], pa.int64())}))
            for n in range(count)
        ]
        tables[name] = StagedTable(place, tuple(parts))
    return UnitOutput(tables=tables, counts={"items": 5}, notes={"said": "so"})


def files(root: CorpusRoot) -> list[str]:
    base = Path(root.url)
    return sorted(str(path.relative_to(base)) for path in base.rglob("*") if path.is_file() and path.name != "guard")


WRITTEN = [
    "documents/web/p/1/manifest.json",
    "documents/web/p/1/part-00000.parquet",
    "documents/web/p/1/part-00001.parquet",
    "dropped/web/p/1/part-00000.parquet",
]


def test_a_unit_is_done_once(corpus_root: CorpusRoot) -> None:
    done = run_unit(unit(corpus_root), Engine(workers=1), work)
    assert (done.status, done.key, done.reason) == ("done", KEY, "")
    assert files(corpus_root) == WRITTEN
    manifest = read_manifest(corpus_root.partition_folder("documents", KEY))
    assert manifest == done.manifest
    assert {name: (table.rows, len(table.files)) for name, table in manifest.tables.items()} == {
        "documents": (4, 2),
        "dropped": (2, 1),
    }
    assert (manifest.counts, manifest.notes, manifest.config) == ({"items": 5}, {"said": "so"}, {"rules": ["a"]})
    assert manifest.peak_rss_bytes > 2**20
    assert manifest.code_version

    def never(_folder: Folder) -> UnitOutput:
        raise AssertionError

    again = run_unit(unit(corpus_root), Engine(workers=2), never)
    assert (again.status, again.manifest, again.reason) == ("skipped", manifest, "same inputs and settings")


def test_what_matters_makes_it_stale_and_what_does_not_does_not(corpus_root: CorpusRoot) -> None:
    run_unit(unit(corpus_root), Engine(), work)
    other_inputs = (InputRecord(name="a", digest="1"), InputRecord(name="b", digest="3"))
    stale = [{"version": 2}, {"config": Config(rules=())}, {"inputs": other_inputs}, {"inputs": ()}, {"stage": "dedup"}]
    for change in stale:
        assert unit(corpus_root, **change).done() is None
    learned = (InputRecord(name="b", digest="2", content_digest="x"), InputRecord(name="a", digest="1"))
    for change in [{"config": Config(threads=9)}, {"inputs": learned}]:
        assert unit(corpus_root, **change).done() is not None
    fingerprints = [unit(corpus_root, **change).fingerprint() for change in [{}, *stale]]
    assert len(set(fingerprints)) == len(fingerprints)


def test_doing_it_again_replaces_all_its_files(corpus_root: CorpusRoot) -> None:
    run_unit(unit(corpus_root), Engine(), lambda folder: work(folder, documents=5, dropped=2))
    neighbour = unit(corpus_root, key=PartitionKey("web", "p/1/below"))
    run_unit(neighbour, Engine(), work)
    run_unit(unit(corpus_root, version=2), Engine(), work)
    assert [path for path in files(corpus_root) if "below" not in path] == WRITTEN
    assert len(files(corpus_root)) == 2 * len(WRITTEN)
    assert neighbour.done() is not None


def test_inputs_that_were_completed_while_they_were_read_are_stored(corpus_root: CorpusRoot) -> None:
    learned = (InputRecord(name="a", digest="1", content_digest="x"), InputRecord(name="b", digest="2"))

    def reads(folder: Folder) -> UnitOutput:
        output = work(folder)
        return UnitOutput(tables=output.tables, inputs=learned)

    assert run_unit(unit(corpus_root), Engine(), reads).manifest.inputs == learned
    assert run_unit(unit(corpus_root), Engine(), reads).status == "skipped"


def test_work_that_fails_leaves_the_old_unit_as_it_was_and_no_lease(corpus_root: CorpusRoot) -> None:
    run_unit(unit(corpus_root), Engine(), work)

    def fails(folder: Folder) -> UnitOutput:
        work(folder)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_unit(unit(corpus_root, version=2), Engine(), fails)
    assert unit(corpus_root).done() is not None
    assert run_unit(unit(corpus_root, version=2), Engine(), work).status == "done"
    assert files(corpus_root) == WRITTEN


def test_work_starts_in_an_empty_folder_unless_it_goes_on_with_its_own(corpus_root: CorpusRoot) -> None:
    seen: list[list[str]] = []

    def fails(folder: Folder) -> UnitOutput:
        seen.append(folder.names())
        folder.put_whole("half", b"")
        raise ZeroDivisionError

    for resumable, version in ((False, 1), (False, 1), (True, 1), (True, 2), (True, 2)):
        with pytest.raises(ZeroDivisionError):
            run_unit(unit(corpus_root, version=version), Engine(), fails, resumable=resumable)
    # What other settings left is of no use.
    assert seen == [[], [], ["half"], [], ["half"]]


def test_another_run_on_the_same_unit_is_refused_and_a_done_one_is_not(corpus_root: CorpusRoot) -> None:
    with hold_lease(corpus_root, "clean", KEY):
        with pytest.raises(LeaseError, match=r"clean of web/p/1 is being worked on by process"):
            run_unit(unit(corpus_root), Engine(), work)
        run_unit(unit(corpus_root, key=PartitionKey("web", "p/2")), Engine(), work)
    run_unit(unit(corpus_root), Engine(), work)
    with hold_lease(corpus_root, "clean", KEY):
        assert run_unit(unit(corpus_root), Engine(), work).status == "skipped"


def test_a_unit_that_another_run_has_just_done_is_not_done_again(
    corpus_root: CorpusRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = unit_module.hold_lease

    def late(root: CorpusRoot, stage: str, key: PartitionKey) -> Any:
        monkeypatch.undo()
        run_unit(unit(root), Engine(), work)
        return hold(root, stage, key)

    monkeypatch.setattr(unit_module, "hold_lease", late)
    assert run_unit(unit(corpus_root), Engine(), lambda folder: work(folder, documents=9)).status == "skipped"
    assert files(corpus_root) == WRITTEN


class Killed(BaseException):
    """Stands for SIGKILL: from one step on, nothing reaches the storage any more, no clearing up either."""


@contextmanager
def killed_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    left = [steps]

    def counted(method: Any) -> Any:
        def call(self: Folder, *arguments: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return method(self, *arguments)

        return call

    with monkeypatch.context() as patched:
        for name in ("put_whole", "open_write", "move_in", "remove", "remove_tree"):
            patched.setattr(Folder, name, counted(getattr(Folder, name)))
        yield


def test_killed_between_any_two_steps_it_is_whole_or_undone_and_then_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a unit of an older version, whose files go: after each kill, readers see one of the two or none."""
    fresh = CorpusRoot(str(tmp_path / "fresh"))
    wanted = run_unit(unit(fresh, version=2), Engine(), work).manifest.tables
    seen_states = set()
    for step in range(100):
        root = CorpusRoot(str(tmp_path / str(step)))
        old = run_unit(unit(root), Engine(), lambda folder: work(folder, documents=4)).manifest
        with killed_after(step, monkeypatch):
            try:
                run_unit(unit(root, version=2), Engine(), work)
                break
            except Killed:
                pass
        seen = read_manifest(root.partition_folder("documents", KEY))
        seen_states.add("none" if seen is None else "old" if seen.tables == old.tables else "new")
        if seen is not None:
            assert seen.tables in (old.tables, wanted)
            for name, table in seen.tables.items():
                assert set(root.partition_folder(name, KEY).names()) >= {file.name for file in table.files}
        for name in root.lease_folder().names():
            root.lease_folder().remove(name)  # as if its process were gone
        assert run_unit(unit(root, version=2), Engine(), work).manifest.tables == wanted
        assert [path for path in files(root) if not path.startswith(".work")] == WRITTEN
    assert step > 15
    assert seen_states == {"old", "none", "new"}
