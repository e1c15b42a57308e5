"""One unit of work: skip it when it is done, else do it under a lease and commit it, manifest last."""

from __future__ import annotations

import functools
import hashlib
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.engine.settings import Engine
from pipelines.engine.staging import StagedTable
from schemas.configs.base import StageConfig
from schemas.corpus_root import MANIFEST_NAME, CorpusRoot, PartitionKey
from schemas.lease import hold_lease
from schemas.manifest import (
    InputRecord,
    Manifest,
    OutputFile,
    TableRecord,
    canonical_json,
    read_manifest,
    write_manifest,
)
from schemas.storage import Folder

__all__ = ["Unit", "UnitOutcome", "UnitOutput", "run_unit"]

_SAME = "same inputs and settings"


@dataclass(frozen=True, eq=False)
class _Same:
    """These very settings, as a key."""

    config: StageConfig

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.config is other.config

    def __hash__(self) -> int:
        return id(self.config)


# All units of a run have the same settings, which do not change; writing them as JSON takes longer than all the rest.
@functools.lru_cache(64)
def _around_inputs(same: _Same, stage: str, version: int) -> tuple[bytes, bytes]:
    """The canonical JSON of a unit, but for its inputs."""
    view = same.config.fingerprint_view()
    whole = canonical_json({"config": view, "inputs": [], "stage": stage, "version": version})
    before = b'{"config":' + canonical_json(view) + b',"inputs":'
    return before, whole.removeprefix(before + b"[]")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What is to be done: a stage on one partition. `table` is the stage's first table, where the manifest lies."""

    root: CorpusRoot
    stage: str
    version: int
    key: PartitionKey
    table: str
    config: StageConfig
    inputs: tuple[InputRecord, ...]

    def fingerprint(self) -> str:
        """Hash of (stage, its version, the settings that matter, the digests of the inputs)."""
        inputs = canonical_json(sorted([record.name, record.digest] for record in self.inputs))
        before, after = _around_inputs(_Same(self.config), self.stage, self.version)
        return hashlib.blake2b(before + inputs + after, digest_size=32).hexdigest()

    def folder(self) -> Folder:
        """Where the manifest lies."""
        return self.root.partition_folder(self.table, self.key)

    def done(self) -> Manifest | None:
        """The manifest, if this very unit is done; one of other settings or inputs is stale and does not count."""
        manifest = read_manifest(self.folder())
        return manifest if manifest and manifest.fingerprint == self.fingerprint() else None


@dataclass(frozen=True, kw_only=True)
class UnitOutput:
    """What the work of a unit gives back: staged tables, and what the manifest says beside them."""

    tables: dict[str, StagedTable]
    counts: dict[str, int] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[InputRecord, ...] | None = None  # the same inputs, completed while they were read


@dataclass(frozen=True)
class UnitOutcome:
    """How a unit ended; `reason` says why one was skipped."""

    key: PartitionKey
    status: Literal["done", "skipped"]
    manifest: Manifest
    reason: str = ""


def _own_peak_rss_bytes() -> int:
    # Not `ru_maxrss`, which a process inherits from the one that started it, however large that is.
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _peak_rss_bytes() -> int:
    # The largest single process of the unit so far, workers included; Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return max(_own_peak_rss_bytes(), unit * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _commit(unit: Unit, output: UnitOutput, seconds: float, engine: Engine) -> Manifest:
    unit.folder().remove(MANIFEST_NAME)
    records = {}
    for table, staged in output.tables.items():
        target = unit.root.partition_folder(table, unit.key)
        for name in target.names():
            target.remove(name)
        for file in staged.files:
            target.move_in(staged.folder, file.name)
        files = tuple(OutputFile(name=f.name, rows=f.rows, bytes=f.bytes, checksum=f.checksum) for f in staged.files)
        records[table] = TableRecord(rows=staged.rows, digest=staged.digest(), files=files)
    manifest = Manifest(
        stage=unit.stage,
        stage_version=unit.version,
        source=unit.key.source,
        partition=unit.key.partition,
        fingerprint=unit.fingerprint(),
        config=unit.config.fingerprint_view(),
        inputs=output.inputs if output.inputs is not None else unit.inputs,
        tables=records,
        counts=output.counts,
        notes=output.notes,
        seconds=round(seconds, 3),
        peak_rss_bytes=_peak_rss_bytes(),
        workers=engine.workers,
        code_version=_code_version(),
    )
    write_manifest(unit.folder(), manifest)
    return manifest


def _code_version() -> str:
    from importlib.metadata import version

    return version("corpusmill")


def _end_left_over_jobs(folder: Folder) -> None:
    from pipelines.engine.job_record import cancel_left_over

    cancel_left_over(folder)


def run_unit(
    unit: Unit, engine: Engine, work: Callable[[Folder], UnitOutput], *, resumable: bool = False, again: bool = False
) -> UnitOutcome:
    """Do a unit unless it is done, or, where `again`, also then: its committed files stay until the new ones come.

    `work` gets an empty work folder of its own (or, where `resumable`, whatever an interrupted run of the same
    fingerprint left there), writes its files into it and returns them staged.

    Raises:
        LeaseError: another live run is doing this unit.
    """
    manifest = None if again else unit.done()
    if manifest:
        return UnitOutcome(unit.key, "skipped", manifest, _SAME)
    engine.require_reachable([unit.root.url])
    with hold_lease(unit.root, unit.stage, unit.key):
        manifest = None if again else unit.done()
        if manifest:
            return UnitOutcome(unit.key, "skipped", manifest, _SAME)
        folder = unit.root.work_folder(unit.stage, unit.key)
        mine = folder.child(unit.fingerprint()[:16])
        if folder.exists():
            _end_left_over_jobs(folder)
        if not (resumable and mine.exists()):
            folder.remove_tree()
        mine.make()
        started = time.monotonic()
        output = work(mine)
        manifest = _commit(unit, output, time.monotonic() - started, engine)
        folder.remove_tree()
    return UnitOutcome(unit.key, "done", manifest)
