"""The audit at the end of a run: some documents of a partition against all others in it, and some removals again.

It costs a small part of what the partition costs: instead of texts it compares whole signatures, without bands, and
takes up every pair whose estimate is less than three standard deviations under the threshold; of those that are no
edge the texts are compared. A pair at the threshold escapes this once in 700 times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.dedup.audit_draw import check_removals, first_drawn
from pipelines.dedup.audit_shares import AuditResult, Share
from pipelines.dedup.stored_documents import texts_of
from pipelines.dedup.url_similarity import exact_similarity
from schemas.catalog import iterate_table, read_table
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey

__all__ = ["audit_partition"]

_BLOCK_ROWS = 512  # times 64 drawn ones times 108 values: 3.5 MB of comparisons
_DEVIATIONS = 3


def _signatures(table: pa.Table) -> NDArray[np.uint64]:
    return np.asarray(table["signature"].combine_chunks().flatten()).reshape(table.num_rows, -1)


def _close(drawn: NDArray[np.uint64], others: NDArray[np.uint64], least: float) -> Iterator[tuple[int, int]]:
    """(drawn one, other) whose signatures agree in this share of their values or more."""
    for start in range(0, len(others), _BLOCK_ROWS):
        block = others[start : start + _BLOCK_ROWS]
        agree = np.stack([(block == one).mean(axis=1) for one in drawn])
        for one, other in zip(*np.nonzero(agree >= least), strict=True):
            yield int(one), start + int(other)


def _pairs(
    root: CorpusRoot, order: Sequence[PartitionKey], position: int, config: DedupConfig
) -> tuple[int, int, list[tuple[bytes, bytes, float]]]:
    """How many documents were drawn and how many there are, and the pairs at or above the threshold."""
    key = order[position]
    signed = read_table(root, "signatures", key).combine_chunks()
    signed = signed.filter(pc.greater(signed["shingles"], 0))
    drawn = first_drawn([signed], "document_id", config.audit_seed, config.audit_documents)
    if drawn is None or not drawn.num_rows:
        return 0, 0, []
    deviation = math.sqrt(config.threshold * (1 - config.threshold) / config.permutations)
    close = _close(_signatures(drawn), _signatures(signed), config.threshold - _DEVIATIONS * deviation)
    ids, drawn_ids = signed["document_id"].to_pylist(), drawn["document_id"].to_pylist()
    contents, drawn_contents = signed["content_hash"].to_pylist(), drawn["content_hash"].to_pylist()
    number = {one: place for place, one in enumerate(drawn_ids)}
    first: dict[bytes, bytes] = {}
    for content, one in sorted(zip(contents, ids, strict=True)):
        first.setdefault(content, one)
    known = _edges(root, key, ids)
    found, unknown = [], []
    for one, other in close:
        if number.get(ids[other], len(number)) <= one:
            continue
        pair = drawn_ids[one], ids[other]
        leading = frozenset((first[drawn_contents[one]], first[contents[other]]))
        value = 1.0 if len(leading) == 1 else known.get(leading)
        if value is None:
            unknown.append(pair)
        else:
            found.append((*pair, value))
    for (one, other), value in zip(unknown, _measured(root, order, position, config, unknown), strict=True):
        if value >= config.threshold:
            found.append((one, other, value))
    return drawn.num_rows, signed.num_rows, found


def _edges(root: CorpusRoot, key: PartitionKey, ids: Sequence[bytes]) -> dict[frozenset[bytes], float]:
    """The edges inside the partition, by the two that they join."""
    inside = {}
    for table in iterate_table(
        root, "edges", key, ["left_id", "right_id", "right_source", "right_partition", "similarity"]
    ):
        for row in table.to_pylist():
            if (row["right_source"], row["right_partition"]) == key:
                inside[frozenset((row["left_id"], row["right_id"]))] = row["similarity"]
    return inside


def _measured(
    root: CorpusRoot,
    order: Sequence[PartitionKey],
    position: int,
    config: DedupConfig,
    pairs: Sequence[tuple[bytes, bytes]],
) -> list[float]:
    if not pairs:
        return []
    sides = [pa.chunked_array([pa.array(side, pa.binary(16))]) for side in zip(*pairs, strict=True)]
    places = np.full(len(pairs), position)
    ones, others = (texts_of(root, order, places, side) for side in sides)
    return [float(one) for one in exact_similarity(ones, others, config.ngram, config.memory_mib * 2**20)]


def audit_partition(
    root: CorpusRoot, order: Sequence[PartitionKey], position: int, config: DedupConfig, duplicates: pa.Table
) -> dict[str, Any]:
    """Judge the decisions on a partition.

    Args:
        root: the corpus.
        order: all partitions in partition order.
        position: of the partition.
        config: the settings.
        duplicates: the partition's removals.

    Returns:
        An `AuditResult` as JSON.
    """
    gone = frozenset(duplicates["removed_id"].to_pylist())
    sampled, documents, pairs = _pairs(root, order, position, config) if config.near else (0, 0, [])
    apart = [one in gone or other in gone for one, other, _ in pairs]
    missed = [
        (one.hex(), other.hex(), value) for (one, other, value), away in zip(pairs, apart, strict=True) if not away
    ]
    alike, misstated, by_url = Share(0, 0), 0, 0
    removals = first_drawn([duplicates], "removed_id", config.audit_seed, config.audit_documents)
    if removals is not None and removals.num_rows:
        alike, misstated, by_url = check_removals(root, order, config, removals)
    share = Share(sum(apart), len(apart))
    return AuditResult(sampled, documents, share, alike, misstated, by_url, tuple(missed[:10])).as_json()
