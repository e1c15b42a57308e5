"""Decisions about one partition: from committed tables to staged `duplicates/` and `clusters/`.

This runs in one process, on the ids and hashes of the partition and of those earlier documents that share a text or an
edge with it; it reads no text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.dedup.decisions import Edge, Fate, Member, decide
from pipelines.dedup.tables import clusters_table, duplicates_table, involved_members, read_earlier, read_edges
from pipelines.engine.staging import StagedTable, part_name, stage_parquet
from pipelines.engine.unit import UnitOutput
from schemas.catalog import read_table
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import fingerprint
from schemas.storage import Folder

__all__ = ["decide_partition"]


def _documents(root: CorpusRoot, key: PartitionKey, config: DedupConfig) -> pa.Table:
    """Ids, hashes and dates of the documents that a level can remove."""
    documents = read_table(root, "documents", key, ["document_id", "content_hash", "captured_at"])
    if "exact" in config.levels:
        return documents
    signed = read_table(root, "signatures", key, ["document_id", "shingles"])
    comparable = signed.filter(pc.greater(signed["shingles"], 0))["document_id"]
    return documents.filter(pc.is_in(documents["document_id"], value_set=comparable))


def _stage(folder: Folder, name: str, rows: pa.Table, sort_by: list[str]) -> StagedTable:
    place = folder.child("staged", name)
    return StagedTable(place, (stage_parquet(place, part_name(0), rows, sort_by),) if rows.num_rows else ())


def _example(fates: Mapping[Member, Fate], order: Sequence[PartitionKey]) -> dict[str, Any] | None:
    """One removal to show: the near one with the least removed id, else the exact one."""
    if not fates:
        return None
    removed, fate = min(fates.items(), key=lambda item: (item[1].level != "near", item[0].document_id))
    return {
        "removed_id": removed.document_id.hex(),
        "removed_partition": str(order[removed.order]),
        "kept_id": fate.kept_id.hex(),
        "kept_partition": str(order[fate.kept_order]),
        "similarity": fate.similarity,
        "level": fate.level,
    }


def decide_partition(
    root: CorpusRoot, order: Sequence[PartitionKey], position: int, config: DedupConfig, folder: Folder
) -> UnitOutput:
    """Decide a partition and stage its tables.

    Args:
        root: the corpus.
        order: all partitions in partition order.
        position: of the partition.
        config: the settings.
        folder: the unit's work folder.
    """
    documents = _documents(root, order[position], config)
    edges: list[Edge] = read_edges(root, order, position) if config.near else []
    earlier = read_earlier(root, order, position, documents["content_hash"], edges)
    own = involved_members(documents, position, edges, earlier)
    fates = decide(own, edges, earlier, exact="exact" in config.levels)
    removed = pa.array([member.document_id for member in fates], type=pa.binary(16))
    dated = documents.filter(pc.is_in(documents["document_id"], value_set=removed))
    captured_at = dict(zip(dated["document_id"].to_pylist(), dated["captured_at"].to_pylist(), strict=True))
    duplicates = duplicates_table(fates, order, fingerprint(config.fingerprint_view()))
    clusters = clusters_table(fates, order, captured_at)
    exact = sum(fate.level == "exact" for fate in fates.values())
    return UnitOutput(
        tables={
            "duplicates": _stage(folder, "duplicates", duplicates, ["removed_id"]),
            "clusters": _stage(folder, "clusters", clusters, ["kept_source", "kept_partition", "kept_id"]),
        },
        counts={"exact_removed": exact, "near_removed": len(fates) - exact},
        notes={"example": _example(fates, order)},
    )
