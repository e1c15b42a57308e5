"""The audit at the end of a run: some documents of a partition against all others in it, and some removals again.

It costs a small part of what the partition costs: instead of texts it compares whole signatures, without bands, and
takes up pairs whose estimate is less than three standard deviations under the threshold, at most `_MOST_LIKE` for each
drawn document; of those that are no edge the texts are compared. A pair at the threshold escapes this once in 700
times.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.dedup.audit_draw import check_removals, draws_of, first_drawn
from pipelines.dedup.audit_shares import AuditResult, Share
from pipelines.dedup.measured_similarity import measured_similarities
from pipelines.dedup.minhash import unpacked
from pipelines.dedup.stored_documents import NamedDocuments
from schemas.catalog import iterate_table
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.tables import ID

__all__ = ["audit_partition"]

_BLOCK_ROWS = 512  # times 64 drawn ones times 108 values: 3.5 MB of comparisons
_DEVIATIONS = 3
# Documents looked at for each drawn one: in a partition of a million copies of one page all would be like it.
_MOST_LIKE = 64


def _close(drawn: NDArray[np.uint64], others: NDArray[np.uint64], least: float) -> Iterator[tuple[int, int]]:
    """(drawn one, other) whose signatures agree in this share of their values or more."""
    for start in range(0, len(others), _BLOCK_ROWS):
        block = others[start : start + _BLOCK_ROWS]
        agree = np.stack([(block == one).mean(axis=1) for one in drawn])
        for one, other in zip(*np.nonzero(agree >= least), strict=True):
            yield int(one), start + int(other)


class _Partition:
    """A partition as its audit reads it: table by table, with what drawn documents meet held alone."""

    def __init__(self, root: CorpusRoot, key: PartitionKey) -> None:
        self._root, self._key = root, key

    def signed(self, columns: list[str]) -> Iterator[pa.Table]:
        """Some columns of the documents that have n-grams."""
        for table in iterate_table(self._root, "signatures", self._key, [*columns, "shingles"]):
            yield table.filter(pc.greater(table["shingles"], 0))

    def representatives(self, contents: Iterable[bytes]) -> dict[bytes, bytes]:
        """By content hash the document that stands for all of this content: the one with the least id."""
        wanted = pa.array(sorted(set(contents)), ID)
        first: dict[bytes, bytes] = {}
        for table in self.signed(["document_id", "content_hash"]):
            met = table.filter(pc.is_in(table["content_hash"], value_set=wanted))
            for one, content in zip(met["document_id"].to_pylist(), met["content_hash"].to_pylist(), strict=True):
                first[content] = min(one, first.get(content, one))
        return first

    def edges(self, among: Iterable[bytes]) -> dict[frozenset[bytes], float]:
        """The edges between some of its documents, by the two that they join."""
        wanted = pa.array(sorted(set(among)), ID)
        inside = {}
        columns = ["left_id", "right_id", "right_source", "right_partition", "similarity"]
        for table in iterate_table(self._root, "edges", self._key, columns):
            both = pc.and_(*(pc.is_in(table[side], value_set=wanted) for side in ("left_id", "right_id")))
            for row in table.filter(both).to_pylist():
                if (row["right_source"], row["right_partition"]) == self._key:
                    inside[frozenset((row["left_id"], row["right_id"]))] = row["similarity"]
        return inside


class _Few:
    """Of the documents that may be like a drawn one the `_MOST_LIKE` with the least draws."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, bytes, bytes]] = []

    def add(self, draw: int, document_id: bytes, content_hash: bytes) -> None:
        """Take it, or leave it where enough have lower draws."""
        keep = heapq.heappush if len(self._heap) < _MOST_LIKE else heapq.heappushpop
        keep(self._heap, (-draw, document_id, content_hash))

    def rows(self) -> list[dict[str, bytes]]:
        """The documents, by draw."""
        return [{"document_id": one, "content_hash": content} for _, one, content in sorted(self._heap, reverse=True)]


def _pairs(
    root: CorpusRoot, order: Sequence[PartitionKey], position: int, config: DedupConfig
) -> tuple[int, int, list[tuple[bytes, bytes, float]]]:
    """How many documents were drawn and how many there are, and the pairs at or above the threshold."""
    partition, columns = _Partition(root, order[position]), ["document_id", "content_hash", "signature"]
    drawn = first_drawn(partition.signed(columns), "document_id", config.audit_seed, config.audit_documents)
    if drawn is None or not drawn.num_rows:
        return 0, 0, []
    number = {one: place for place, one in enumerate(drawn["document_id"].to_pylist())}
    deviation = math.sqrt(config.threshold * (1 - config.threshold) / config.permutations)
    least = config.threshold - _DEVIATIONS * deviation
    signatures, rows = unpacked(drawn["signature"].combine_chunks()), drawn.select(columns[:2]).to_pylist()
    documents, like = 0, [_Few() for _ in rows]
    for table in filter(len, partition.signed(columns)):
        documents += table.num_rows
        draws = draws_of(table["document_id"], config.audit_seed)
        for drawn_one, place in _close(signatures, unpacked(table["signature"].combine_chunks()), least):
            name = table["document_id"][place].as_py()
            if number.get(name, len(number)) > drawn_one:  # a pair of two drawn ones counts once
                like[drawn_one].add(int(draws[place]), name, table["content_hash"][place].as_py())
    met = [(row, other) for row, few in zip(rows, like, strict=True) for other in few.rows()]
    first = partition.representatives(row["content_hash"] for pair in met for row in pair)
    known = partition.edges(first.values())
    found, unknown = [], []
    for one, other in met:
        pair = one["document_id"], other["document_id"]
        leading = frozenset((first[one["content_hash"]], first[other["content_hash"]]))
        value = 1.0 if len(leading) == 1 else known.get(leading)
        if value is None:
            unknown.append(pair)
        else:
            found.append((*pair, value))
    measured = _measured(root, order, position, config, unknown)
    found += [(*pair, value) for pair, value in zip(unknown, measured, strict=True) if value >= config.threshold]
    return drawn.num_rows, documents, found


def _measured(
    root: CorpusRoot,
    order: Sequence[PartitionKey],
    position: int,
    config: DedupConfig,
    pairs: Sequence[tuple[bytes, bytes]],
) -> list[float]:
    positions = np.full(len(pairs), position)
    sides = [pa.chunked_array([pa.array([pair[side] for pair in pairs], ID)]) for side in (0, 1)]
    ones, others = (NamedDocuments(positions, side) for side in sides)
    found: list[float] = measured_similarities(root, order, config, ones, others).tolist()
    return found


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
