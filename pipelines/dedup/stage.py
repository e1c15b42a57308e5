"""The stage `dedup`: for each partition in partition order, signatures, edges and decisions.

Signatures and edges are Beam jobs. Decisions are made in this process, on ids and hashes alone; a graph that is over
the memory budget is walked by a Beam job too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipelines.dedup.decide_partition import Decisions, decide_partitions, partition_output
from pipelines.dedup.signed_files import document_files, signed_files
from pipelines.dedup.units import DedupUnits
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest, StageResult
from pipelines.engine.unit import UnitOutcome, UnitOutput, run_unit
from schemas.catalog import manifest_of, require_manifest, units
from schemas.configs.dedup import DedupConfig, EdgeConfig, SignatureConfig
from schemas.corpus_root import PartitionKey
from schemas.storage import Folder

__all__ = ["STAGE_VERSION", "pending", "run"]

STAGE_VERSION = 2

# Stored bytes for each further worker process: a worker of each of the two jobs starts in 2 to 3 CPU seconds, in which
# one core signs and compares the 150 MB of text that 64 MiB of Parquet hold.
_BYTES_PER_WORKER = 64 * 2**20


class _Dedup:
    """One call of the stage: which partitions there are, and the work of each unit."""

    def __init__(self, request: StageRequest[DedupConfig]) -> None:
        self.root, self.config, self.engine = request.root, request.config, request.engine
        self.order = units(request.root, "documents")
        self.targets = [self.order.index(key) for key in request.selected("documents")]
        self.units = DedupUnits(self.root, self.config, STAGE_VERSION, self.order)
        self.corpus: Decisions | None = None
        # Across partitions a decision needs the edges of all; else of the partition alone.
        self.across = self.config.scope == "corpus"
        self.connected = list(range(len(self.order))) if self.across else self.targets

    def _rows(self, table: str, keys: Sequence[PartitionKey]) -> int:
        return sum(require_manifest(self.root, table, key).tables[table].rows for key in keys)

    def _engine_for(self, table: str, keys: Sequence[PartitionKey]) -> Engine:
        """The engine, with no more workers than these partitions are worth."""
        files = (file for key in keys for file in require_manifest(self.root, table, key).tables[table].files)
        worth = 1 + sum(file.bytes for file in files) // _BYTES_PER_WORKER
        return replace(self.engine, workers=min(self.engine.workers, worth))

    def sign(self, position: int) -> UnitOutcome:
        """Signatures of a partition."""
        key = self.order[position]

        def work(folder: Folder) -> UnitOutput:
            from pipelines.dedup.sign_documents import run_sign_documents
            from pipelines.engine.write_parts import staged_tables

            files = document_files(self.root, key)
            if files:
                config = self.config.narrowed(SignatureConfig)
                run_sign_documents(files, config, folder, self._engine_for("documents", [key]))
            tables = staged_tables(folder, ["signatures"])
            return UnitOutput(tables=tables, counts={"documents": tables["signatures"].rows})

        return run_unit(self.units.signatures(position), self.engine, work)

    def connect(self, position: int) -> UnitOutcome:
        """Edges of a partition."""
        keys = self.order[: position + 1]

        def work(folder: Folder) -> UnitOutput:
            from pipelines.dedup.band_index import indexed_files
            from pipelines.dedup.edge_job import EdgeJob
            from pipelines.dedup.find_edges import run_find_edges
            from pipelines.engine.write_parts import staged_tables

            config = self.config.narrowed(EdgeConfig)
            files = indexed_files(self.root, signed_files(self.root, keys), position, config, STAGE_VERSION)
            counts = {"candidate_pairs": 0, "pairs_not_compared": 0}
            if self._rows("signatures", keys[-1:]):
                job = EdgeJob(files, config, folder, self.config.memory_mib * 2**20, position)
                # Partitions that have an index cost little; workers are for the others, this one among them.
                read = {file.key for file in files if not file.bands_url}
                counts = run_find_edges(job, self._engine_for("signatures", [key for key in keys if key in read]))
            tables = staged_tables(folder, ["edges", "bands"])
            counts["verified_edges"] = tables["edges"].rows
            return UnitOutput(tables=tables, counts=counts, notes=self._banding_note())

        return run_unit(self.units.edges(position), self.engine, work)

    def _banding_note(self) -> dict[str, Any]:
        """Bands, rows, and the probability with which pairs of a similarity become candidates."""
        banding = self.config.banding
        return {
            "bands": banding.bands,
            "rows": banding.rows,
            "recall_at_threshold": round(banding.recall(self.config.threshold), 6),
            "recall_by_similarity": [list(point) for point in banding.curve()],
        }

    def decide(self, position: int) -> UnitOutcome:
        """Decisions about a partition."""
        key = self.order[position]

        def work(folder: Folder) -> UnitOutput:
            decisions = self._decisions(position, folder)
            output = partition_output(self.root, decisions, position, self._rows("documents", [key]), folder)
            found = require_manifest(self.root, "edges", key).counts if self.config.near else {}
            counts = {**output.counts, **found}
            notes = {**output.notes, **(self._banding_note() if self.config.near else {})}
            return replace(output, counts=counts, notes=notes)

        return run_unit(self.units.decisions(position), self.engine, work)

    def _decisions(self, position: int, folder: Folder) -> Decisions:
        """Decisions that hold for a partition; across partitions they are made once, for all."""
        if not self.across:
            own = range(position, position + 1)
            return decide_partitions(self.root, self.order, own, self.config, self.engine, folder)
        if self.corpus is None:
            own = range(len(self.order))
            self.corpus = decide_partitions(self.root, self.order, own, self.config, self.engine, folder)
        return self.corpus

    def decided(self) -> dict[PartitionKey, str]:
        """By selected partition that has decisions, the digest of these."""
        manifests = ((self.order[one], manifest_of(self.root, "duplicates", self.order[one])) for one in self.targets)
        return {key: manifest.tables["duplicates"].digest for key, manifest in manifests if manifest}

    def outdated(self) -> tuple[PartitionKey, ...]:
        """Partitions that were not asked for, whose decisions do not hold any more."""
        now = DedupUnits(self.root, self.config, STAGE_VERSION, self.order)
        first = 0 if self.across else self.targets[0]
        return tuple(
            self.order[position]
            for position in range(first, len(self.order))
            if position not in self.targets
            and manifest_of(self.root, "duplicates", self.order[position])
            and (now.decisions(position).done() is None or (self.config.near and now.edges(position).done() is None))
        )


def run(request: StageRequest[DedupConfig]) -> StageResult:
    """Deduplicate the selected partitions, each against all before it.

    Earlier partitions that have no signatures get them first; decisions about them stay as they are. Where the policy
    ranks across partitions, all partitions are signed and compared, and the selected ones are decided.

    Raises:
        InputError: there are no documents.
        LeaseError: another live run works on one of the partitions.
        StageError: a pipeline failed.
    """
    dedup = _Dedup(request)
    before = dedup.decided()
    outcomes: list[UnitOutcome] = []
    if dedup.config.needs_signatures:
        outcomes += [dedup.sign(position) for position in range(max(dedup.connected) + 1)]
    if dedup.config.near and dedup.across:
        outcomes += [dedup.connect(position) for position in dedup.connected]
    for position in dedup.targets:
        if dedup.config.near and not dedup.across:
            outcomes.append(dedup.connect(position))
        outcomes.append(dedup.decide(position))
    now = dedup.decided()
    changed = tuple(key for key in dedup.order if key in before and before[key] != now.get(key))
    return StageResult(stage="dedup", outcomes=tuple(outcomes), changed=changed, outdated=dedup.outdated())


def pending(request: StageRequest[DedupConfig]) -> int:
    """How many units `run` would do now; a unit counts when something that it depends on is to be done.

    Raises:
        InputError: there are no documents.
    """
    dedup = _Dedup(request)
    count = 0
    unsigned = unconnected = undecided = False
    for position in range(max(dedup.connected) + 1):
        if dedup.config.needs_signatures and dedup.units.signatures(position).done() is None:
            unsigned = True
            count += 1
        if dedup.config.near and position in dedup.connected:
            mine = unsigned or dedup.units.edges(position).done() is None
            # A decision depends on the edges of its partition alone, or of all.
            unconnected = mine or (unconnected and dedup.across)
            count += mine
        if position in dedup.targets and not dedup.across:
            undecided = undecided or unconnected or dedup.units.decisions(position).done() is None
            count += undecided
    if dedup.across:
        count += sum(unconnected or dedup.units.decisions(position).done() is None for position in dedup.targets)
    return count
