"""Seeded draws of documents and removals, and removals measured again on their texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.dedup.audit_shares import Share
from pipelines.dedup.measured_similarity import measured_similarities
from pipelines.dedup.mixing import mix64
from pipelines.dedup.places import Places
from pipelines.dedup.stored_documents import NamedDocuments
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.tables import DUPLICATES

__all__ = ["check_removals", "draws_of", "first_drawn"]

_TOLERANCE = 1e-6


def draws_of(ids: pa.ChunkedArray, seed: int) -> NDArray[np.uint64]:
    """A number for each id that depends on it and on the seed alone; ids are hashes, so the numbers are uniform."""
    array = ids.combine_chunks()
    if not len(array):
        return np.empty(0, dtype=np.uint64)
    words = np.frombuffer(array.buffers()[1], dtype=">u8", offset=array.offset * 16, count=2 * len(array))
    salt = mix64(np.array([seed], dtype=np.uint64))
    return mix64(words[::2].astype(np.uint64) ^ salt)


def first_drawn(tables: Iterable[pa.Table], column: str, seed: int, count: int, after: int = -1) -> pa.Table | None:
    """The `count` rows with the least draws over `after`, by their draw; None where there is no table.

    The result has the draws in the column `draw`.
    """
    found: pa.Table | None = None
    for table in tables:
        drawn = table.append_column("draw", pa.array(draws_of(table[column], seed)))
        drawn = drawn.filter(pa.array(drawn["draw"].to_numpy() > after)) if after >= 0 else drawn
        found = drawn if found is None else pa.concat_tables([found, drawn])
        found = found.sort_by([("draw", "ascending"), (column, "ascending")]).slice(0, count)
    return found


def check_removals(
    root: CorpusRoot, order: Sequence[PartitionKey], config: DedupConfig, removals: pa.Table
) -> tuple[Share, int, int]:
    """Measure some removals again.

    Args:
        root: the corpus.
        order: all partitions in partition order.
        config: the settings that decided.
        removals: rows of `duplicates/`.

    Returns:
        The share of those at levels exact and near whose texts are at the threshold or above; how many of all state
        another similarity than that of their texts; how many went by their URL.
    """
    rows, places = removals.select(DUPLICATES.names), Places(order)
    sides = []
    for side in ("removed", "kept"):
        positions = places.of(rows[f"{side}_source"], rows[f"{side}_partition"], lambda _: "duplicates")
        sides.append(NamedDocuments(positions, rows[f"{side}_id"]))
    measured = measured_similarities(root, order, config, *sides)
    misstated = int((np.abs(measured - rows["similarity"].to_numpy()) > _TOLERANCE).sum())
    by_url = np.array([level == "url" for level in rows["level"].to_pylist()], dtype=bool)
    alike = measured[~by_url] >= config.threshold
    return Share(int(alike.sum()), len(alike)), misstated, int(by_url.sum())
