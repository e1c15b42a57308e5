"""The brakes: decisions that remove more of a source, or more to one keeper, than settings allow are reported.

A warning goes into the manifest, and its report beside it; where the brake stops, nothing is committed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.dedup.stored_documents import find_documents
from schemas.catalog import manifest_of
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import LossBrakeError
from schemas.storage import Folder

__all__ = ["check_brakes", "report_place"]

_SAMPLES = 5
_SHOWN = ["url", "title", "language"]


def report_place(root: CorpusRoot, key: PartitionKey) -> tuple[Folder, str]:
    """Where the report of a partition lies: folder and file name."""
    return root.folder.child("brakes-dedup", key.source), key.partition.replace("/", "+") + ".json"


def _described(root: CorpusRoot, key: PartitionKey, one: bytes) -> dict[str, Any]:
    shown: dict[str, Any] = {"document_id": one.hex(), "source": key.source, "partition": key.partition}
    for table in find_documents(root, key, pa.array([one], pa.binary(16)), _SHOWN):
        (row,) = table.select(_SHOWN).to_pylist()
        shown |= row
    return shown


def _samples(root: CorpusRoot, duplicates: pa.Table) -> list[dict[str, Any]]:
    """Some removals. Ids are hashes, so those of the least ids are drawn at random, the same each time."""
    drawn = duplicates.sort_by("removed_id").slice(0, _SAMPLES).to_pylist()
    return [
        {
            "level": row["level"],
            "similarity": row["similarity"],
            **{
                side: _described(root, PartitionKey(row[f"{side}_source"], row[f"{side}_partition"]), row[f"{side}_id"])
                for side in ("removed", "kept")
            },
        }
        for row in drawn
    ]


def _source_loss(
    root: CorpusRoot, order: Sequence[PartitionKey], position: int, documents: int, duplicates: pa.Table
) -> tuple[int, int]:
    """Documents of the source that go, and all, over its partitions up to this one."""
    lost, there = duplicates.num_rows, documents
    for key in order[:position]:
        manifest = manifest_of(root, "duplicates", key) if key.source == order[position].source else None
        if manifest:
            lost += manifest.tables["duplicates"].rows
            there += manifest.counts["documents"]
    return lost, there


def _largest(clusters: pa.Table) -> dict[str, Any] | None:
    if not clusters.num_rows:
        return None
    by_size = [("copies", "descending"), ("kept_id", "ascending")]
    best = clusters.take(pc.sort_indices(clusters, sort_keys=by_size).slice(0, 1))
    (row,) = best.select(["kept_id", "kept_source", "kept_partition", "copies"]).to_pylist()
    return dict(row)


def check_brakes(
    root: CorpusRoot,
    order: Sequence[PartitionKey],
    position: int,
    config: DedupConfig,
    documents: int,
    duplicates: pa.Table,
    clusters: pa.Table,
) -> dict[str, Any] | None:
    """See that decisions on a partition stay within the brakes; else write a report.

    Args:
        root: the corpus.
        order: all partitions in partition order.
        position: of the partition.
        config: the settings.
        documents: how many documents the partition has.
        duplicates: its removals.
        clusters: its clusters.

    Returns:
        What was found, for the manifest; None where nothing was.

    Raises:
        LossBrakeError: something was, and `brake_action` is stop.
    """
    key = order[position]
    folder, name = report_place(root, key)
    said, report = [], {}
    lost, there = _source_loss(root, order, position, documents, duplicates)
    if there >= config.brake_least_documents and lost > config.brake * there:
        said.append(
            f"source {key.source} loses {lost:,} of {there:,} documents ({lost / there:.1%}) to deduplication, "
            f"the brake is at {config.brake:.1%}"
        )
        report["source"] = {"lost": lost, "documents": there, "samples": _samples(root, duplicates)}
    largest = _largest(clusters)
    if largest and documents >= config.brake_least_documents and largest["copies"] > config.cluster_brake * documents:
        kept = largest["kept_id"]
        said.append(
            f"{largest['copies']:,} of {documents:,} documents go to one keeper, {kept.hex()}, "
            f"the brake is at {config.cluster_brake:.1%}"
        )
        inside = duplicates.filter(pc.equal(duplicates["kept_id"], pa.scalar(kept, pa.binary(16))))
        report["cluster"] = {**largest, "kept_id": kept.hex(), "samples": _samples(root, inside)}
    if not said:
        folder.remove(name)
        return None
    whole = {"source_name": key.source, "partition": key.partition, "said": said, **report}
    folder.put_whole(name, json.dumps(whole, indent=1, ensure_ascii=False).encode("utf-8"))
    if config.brake_action == "stop":
        raise LossBrakeError(
            f"{key}: {'; '.join(said)}; nothing was committed: look at the samples in {folder.path(name)}, then "
            "change the settings, or go on with --set brake_action=warn"
        )
    return {"said": said, "report": folder.path(name)}
