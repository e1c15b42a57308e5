"""Decisions about partitions: from committed tables to staged `duplicates/` and `clusters/`.

No text is read but those of documents that went by their URL, whose similarity nobody has measured yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.dedup.audit_partition import audit_partition
from pipelines.dedup.brake import check_brakes
from pipelines.dedup.decisions import LEVELS, Fates, decide
from pipelines.dedup.gather import gather
from pipelines.dedup.measured_similarity import fill_in_similarities
from pipelines.dedup.tables import clusters_table, duplicates_table
from pipelines.dedup.walk_job import walk_graph
from pipelines.engine.settings import Engine
from pipelines.engine.staging import StagedTable, part_name, stage_parquet
from pipelines.engine.unit import UnitOutput
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import fingerprint
from schemas.storage import Folder

__all__ = ["Decisions", "decide_partitions", "partition_output"]


@dataclass(frozen=True)
class Decisions:
    """What goes of some partitions.

    Attributes:
        order: all partitions in partition order.
        config: the settings that decided.
        removed: `order`, the position of the partition, `document_id` and `captured_at` of the documents that go.
        fates: theirs.
        keepers: `order` and `document_id` by number of keeper.
    """

    order: Sequence[PartitionKey]
    config: DedupConfig
    removed: pa.Table
    fates: Fates
    keepers: pa.Table

    def tables(self, position: int) -> tuple[pa.Table, pa.Table]:
        """Rows of `duplicates/` and of `clusters/` of one partition."""
        mine = np.flatnonzero(self.removed["order"].to_numpy() == position)
        removed = self.removed.take(pa.array(mine))
        fates = self.fates.take(mine)
        config = fingerprint(self.config.fingerprint_view())
        duplicates = duplicates_table(removed["document_id"], fates, self.keepers, self.order, position, config)
        return duplicates, clusters_table(duplicates, removed["captured_at"])


def _counted(column: pa.ChunkedArray) -> tuple[list[str], list[int]]:
    counts = pc.value_counts(column)
    return counts.field("values").to_pylist(), counts.field("counts").to_pylist()


def _stage(folder: Folder, name: str, rows: pa.Table, sort_by: list[str]) -> StagedTable:
    place = folder.child("staged", name)
    return StagedTable(place, (stage_parquet(place, part_name(0), rows, sort_by),) if rows.num_rows else ())


def _example(duplicates: pa.Table) -> dict[str, Any] | None:
    """One removal to show: the near one with the least removed id, else one of another level."""
    if not duplicates.num_rows:
        return None
    far = duplicates.append_column("far", pc.not_equal(duplicates["level"], "near"))
    best = pc.sort_indices(far, sort_keys=[("far", "ascending"), ("removed_id", "ascending")])[0]
    (row,) = duplicates.take(pa.array([best.as_py()])).to_pylist()
    return {
        "removed_id": row["removed_id"].hex(),
        "removed_partition": f"{row['removed_source']}/{row['removed_partition']}",
        "kept_id": row["kept_id"].hex(),
        "kept_partition": f"{row['kept_source']}/{row['kept_partition']}",
        "similarity": row["similarity"],
        "level": row["level"],
    }


def decide_partitions(
    root: CorpusRoot, order: Sequence[PartitionKey], own: range, config: DedupConfig, engine: Engine, folder: Folder
) -> Decisions:
    """Decide partitions.

    Args:
        root: the corpus.
        order: all partitions in partition order.
        own: positions of those that are decided: one, or all.
        config: the settings.
        engine: where a graph over the budget is walked.
        folder: the unit's work folder.

    Raises:
        ContractError: an edge or an earlier decision names a partition that is not there.
    """
    gathered = gather(root, order, own, config)
    members, edges = gathered.members, gathered.edges
    fates = decide(
        members,
        gathered.before,
        frozenset(config.levels),
        lambda: edges.blocks(gathered.documents, members.text),
        lambda kept, batches: walk_graph(kept, batches, len(edges), config.memory_mib * 2**20, engine, folder),
    )
    gone = np.flatnonzero(members.own & (fates.keeper >= 0))
    removed = gathered.documents.select(["order", "document_id", "captured_at"]).take(pa.array(gone))
    fates = fates.take(gone)
    fill_in_similarities(root, order, config, removed, fates, gathered.keepers)
    return Decisions(order, config, removed, fates, gathered.keepers)


def partition_output(
    root: CorpusRoot, decisions: Decisions, position: int, documents: int, folder: Folder
) -> UnitOutput:
    """The decisions on one partition, staged, looked at by the brakes and audited.

    Args:
        root: the corpus.
        decisions: that hold for the partition.
        position: of the partition.
        documents: how many documents it has.
        folder: the unit's work folder.

    Raises:
        LossBrakeError: a brake stops.
    """
    order, config = decisions.order, decisions.config
    duplicates, clusters = decisions.tables(position)
    brake = check_brakes(root, order, position, config, documents, duplicates, clusters)
    levels = dict(zip(*_counted(duplicates["level"]), strict=True))
    shown = [level for level in LEVELS if level in {"exact", "near", *levels}]
    audit = audit_partition(root, order, position, config, duplicates) if config.audit_documents else None
    notes = {"example": _example(duplicates), "brake": brake, "audit": audit}
    return UnitOutput(
        tables={
            "duplicates": _stage(folder, "duplicates", duplicates, ["removed_id"]),
            "clusters": _stage(folder, "clusters", clusters, ["kept_source", "kept_partition", "kept_id"]),
        },
        counts={"documents": documents, **{f"{level}_removed": levels.get(level, 0) for level in shown}},
        notes={name: value for name, value in notes.items() if value is not None or name == "example"},
    )
