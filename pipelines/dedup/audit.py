"""The audit of a corpus: documents drawn by hash, compared with the whole corpus by brute force.

No signature, band or edge is used: the n-grams of each drawn document are looked for in every text. So a pair that
deduplication never compared is found all the same. A pass over the corpus takes up to `_AT_ONCE` drawn documents;
passes go on until enough pairs are found. N-grams are compared by 64-bit hashes of another family than those that
signatures are made of: two different ones are equal once in 2^64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.dedup.audit_draw import check_removals, first_drawn
from pipelines.dedup.audit_shares import AuditResult, Share
from pipelines.dedup.shingles import ShingleSets
from pipelines.dedup.stored_documents import NamedDocuments, texts_of
from pipelines.dedup.verification import comparable_sets
from schemas.catalog import iterate_table, require_manifest, units
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError

__all__ = ["audit_corpus", "settings_of"]

_AT_ONCE = 2048  # documents of one pass: 20 MB of hashes for texts of 600 words
_BLOCK_ROWS = 256
_SHOWN = 10  # missed pairs that are named

U64 = NDArray[np.uint64]
Name = tuple[int, bytes]  # position of the partition, document id


def settings_of(root: CorpusRoot) -> tuple[list[PartitionKey], DedupConfig]:
    """The decided partitions in partition order, and the settings under which they were.

    Raises:
        InputError: none is decided, or they were under different settings.
    """
    keys = units(root, "duplicates")
    if not keys:
        raise InputError(f"no decisions in {root.url}; run dedup first")
    configs = {key: DedupConfig.model_validate(require_manifest(root, "duplicates", key).config) for key in keys}
    first = configs[keys[0]]
    for key, config in configs.items():
        if config.fingerprint_view() != first.fingerprint_view():
            raise InputError(
                f"{keys[0]} and {key} were decided under different settings; run dedup over all partitions"
            )
    return keys, first


@dataclass(frozen=True)
class _Index:
    """The n-grams of drawn documents: `hashes` ascending, with the number of the document that each is of."""

    hashes: U64
    owners: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, sets: ShingleSets) -> _Index:
        owners = np.repeat(np.arange(len(sets.counts)), sets.counts)
        order = np.argsort(sets.hashes, kind="stable")
        return cls(sets.hashes[order], owners[order], sets.counts)

    def alike(self, sets: ShingleSets, threshold: float) -> Iterator[tuple[int, int, float]]:
        """(number of a set, number of a drawn document, similarity) of all pairs at or above the threshold."""
        sizes = sets.counts
        of = np.repeat(np.arange(len(sizes)), sizes)
        start, end = (np.searchsorted(self.hashes, sets.hashes, side=side) for side in ("left", "right"))
        found = end - start
        places = np.repeat(start - np.cumsum(found) + found, found) + np.arange(found.sum())
        pairs = np.repeat(of, found) * len(self.sizes) + self.owners[places]
        numbers, both = np.unique(pairs, return_counts=True)
        ones, others = np.divmod(numbers, len(self.sizes))
        either = sizes[ones] + self.sizes[others] - both
        values = both / either
        near = values >= threshold
        yield from zip(ones[near].tolist(), others[near].tolist(), values[near].tolist(), strict=True)


class _Drawn:
    """Drawn documents, and the pairs that a block of other documents has with them."""

    def __init__(self, root: CorpusRoot, order: Sequence[PartitionKey], config: DedupConfig, drawn: pa.Table) -> None:
        self._config = config
        texts = texts_of(root, order, NamedDocuments(drawn["order"].to_numpy(), drawn["document_id"]))
        self._index = _Index.of(comparable_sets(pa.array(texts, pa.large_string()), config))
        self.names: list[Name] = list(zip(drawn["order"].to_pylist(), drawn["document_id"].to_pylist(), strict=True))
        self.number = {name: number for number, name in enumerate(self.names)}
        self._by_content: dict[bytes, list[int]] = {}
        for number, content in enumerate(drawn["content_hash"].to_pylist()):
            self._by_content.setdefault(content, []).append(number)

    def pairs(self, block: pa.RecordBatch) -> Iterator[tuple[int, int, float]]:
        """(row of the block, number of a drawn document, similarity) of all pairs that the settings mean."""
        sizes = np.zeros(len(block), dtype=np.int64)
        if self._config.near:
            sets = comparable_sets(block["text"], self._config)
            sizes = sets.counts
            yield from self._index.alike(sets, self._config.threshold)
        if "exact" in self._config.levels:
            # Equal texts that have n-grams are alike already.
            for row, content in enumerate(block["content_hash"].to_pylist()):
                if not sizes[row]:
                    yield from ((row, number, 1.0) for number in self._by_content.get(content, ()))


class _Audit:
    def __init__(self, root: CorpusRoot, seed: int) -> None:
        self.root, self.seed = root, seed
        self.order, self.config = settings_of(root)
        self.compared: set[Name] = set()
        self.pairs = self.apart = 0
        self.missed: list[tuple[str, str, float]] = []

    def _ids(self) -> Iterator[pa.Table]:
        for position, key in enumerate(self.order):
            for table in iterate_table(self.root, "documents", key, ["document_id", "content_hash"]):
                yield table.append_column("order", pa.array(np.full(table.num_rows, position, dtype=np.int64)))

    def _gone(self, position: int) -> frozenset[bytes]:
        tables = iterate_table(self.root, "duplicates", self.order[position], ["removed_id"])
        return frozenset(one for table in tables for one in table["removed_id"].to_pylist())

    def _blocks(self, position: int) -> Iterator[pa.RecordBatch]:
        columns = ["document_id", "content_hash", "text"]
        for table in iterate_table(self.root, "documents", self.order[position], columns):
            yield from table.combine_chunks().to_batches(max_chunksize=_BLOCK_ROWS)

    def compare(self, table: pa.Table) -> None:
        """Compare drawn documents with all others; a pair of two drawn ones counts for the one that is drawn first."""
        drawn = _Drawn(self.root, self.order, self.config, table)
        gone = {position: self._gone(position) for position in {place for place, _ in drawn.names}}
        away = [one in gone[position] for position, one in drawn.names]
        for position in range(len(self.order)):
            removed = self._gone(position)
            for block in self._blocks(position):
                ids = block["document_id"].to_pylist()
                for row, number, value in drawn.pairs(block):
                    other = (position, ids[row])
                    if other not in self.compared and drawn.number.get(other, len(away)) > number:
                        self._count(drawn.names[number], other, value, apart=away[number] or ids[row] in removed)
        self.compared.update(drawn.names)

    def _count(self, one: Name, other: Name, value: float, *, apart: bool) -> None:
        self.pairs += 1
        self.apart += apart
        if not apart and len(self.missed) < _SHOWN:
            self.missed.append((one[1].hex(), other[1].hex(), round(value, 6)))

    def run(self, wanted: int, most: int) -> AuditResult:
        documents = sum(require_manifest(self.root, "documents", key).tables["documents"].rows for key in self.order)
        sampled, last, size = 0, -1, min(_AT_ONCE, 128)
        while self.pairs < wanted and sampled < min(most, documents):
            drawn = first_drawn(self._ids(), "document_id", self.seed, min(size, most - sampled), after=last)
            if drawn is None or not drawn.num_rows:
                break
            self.compare(drawn)
            sampled, last = sampled + drawn.num_rows, int(drawn["draw"][-1].as_py())
            size = min(_AT_ONCE, 2 * size)
        rows = (table for key in self.order for table in iterate_table(self.root, "duplicates", key))
        removals = first_drawn(rows, "removed_id", self.seed, wanted)
        alike, misstated, by_url = Share(0, 0), 0, 0
        if removals is not None and removals.num_rows:
            alike, misstated, by_url = check_removals(self.root, self.order, self.config, removals)
        pairs = Share(self.apart, self.pairs)
        return AuditResult(sampled, documents, pairs, alike, misstated, by_url, tuple(self.missed))


def audit_corpus(root: CorpusRoot, seed: int = 0, wanted: int = 300, most: int = 20_000) -> AuditResult:
    """Judge the decisions of a corpus.

    Args:
        root: the corpus.
        seed: of the draw.
        wanted: pairs at or above the threshold that are looked for, and removals that are measured again.
        most: documents that are drawn for it, at most.

    Raises:
        InputError: nothing is decided, or under settings that differ between partitions.
        ContractError: a decision names a document that is not there.
    """
    return _Audit(root, seed).run(wanted, most)
