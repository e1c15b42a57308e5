"""Rows of `duplicates/` and `clusters/`, made of decisions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.dedup.decisions import LEVELS, Fates
from schemas.corpus_root import PartitionKey
from schemas.tables import CLUSTERS, DUPLICATES

__all__ = ["clusters_table", "duplicates_table"]

_KEEPER = ["kept_source", "kept_partition", "kept_id"]


def duplicates_table(
    ids: pa.ChunkedArray, fates: Fates, keepers: pa.Table, order: Sequence[PartitionKey], position: int, config: str
) -> pa.Table:
    """Rows of `duplicates/` of one partition.

    Args:
        ids: of the documents that go.
        fates: theirs; every one has a keeper.
        keepers: `order` and `document_id` by number of keeper.
        order: all partitions in partition order.
        position: of the partition.
        config: fingerprint of the settings that decided.
    """
    rows = len(ids)
    kept = keepers.take(pa.array(fates.keeper))
    names = pa.table({"source": [key.source for key in order], "partition": [key.partition for key in order]})
    kept_names = names.take(kept["order"])
    band: NDArray[np.bool_] = fates.band < 0
    columns = {
        "removed_id": ids,
        "removed_source": pa.array([order[position].source] * rows, pa.string()),
        "removed_partition": pa.array([order[position].partition] * rows, pa.string()),
        "kept_id": kept["document_id"],
        "kept_source": kept_names["source"],
        "kept_partition": kept_names["partition"],
        "similarity": pa.array(fates.similarity),
        "level": pa.array(LEVELS).take(pa.array(fates.level)),
        "band": pa.array(fates.band, mask=band),
        "config": pa.array([config] * rows, pa.string()),
    }
    return pa.table(columns, schema=DUPLICATES)


def clusters_table(duplicates: pa.Table, captured_at: pa.ChunkedArray) -> pa.Table:
    """Rows of `clusters/`: what each keeper stands for in one partition, its copies alone.

    Args:
        duplicates: rows of `duplicates/` of the partition.
        captured_at: of each removed document; where it is null, the document says nothing of when it was seen.
    """
    seen = duplicates.select([*_KEEPER, "removed_source"]).append_column("captured_at", captured_at)
    grouped = seen.group_by(_KEEPER).aggregate(
        [([], "count_all"), ("captured_at", "min"), ("captured_at", "max"), ("removed_source", "distinct")]
    )
    columns = {
        **{name: grouped[name] for name in _KEEPER},
        "copies": pc.cast(grouped["count_all"], pa.int64()),
        "first_seen": grouped["captured_at_min"],
        "last_seen": grouped["captured_at_max"],
        "sources": grouped["removed_source_distinct"],
    }
    return pa.table([columns[name] for name in CLUSTERS.names], schema=CLUSTERS)
