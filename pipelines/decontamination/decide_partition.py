"""Decisions about one partition: from `overlaps/` and the counts of all partitions before to staged tables.

This runs in one process and reads no text: rows of one part at a time, and the counts of n-grams that occur.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.decontamination.cuts import CutRules
from pipelines.decontamination.decisions import Decision, Rules, decide_document
from pipelines.decontamination.lookup import Lookup, Match, Posting
from pipelines.decontamination.ngrams import CUTS
from pipelines.engine.staging import StagedFile, StagedTable, part_name, stage_parquet
from pipelines.engine.unit import UnitOutput
from schemas.catalog import iterate_table
from schemas.configs.decontaminate import DecontaminateConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.storage import Folder
from schemas.tables import CONTAMINATED, ITEM_OVERLAPS, NGRAM_COUNTS

__all__ = ["CommonNgrams", "KnownItems", "count_ngrams", "decide_partition"]

# Items of one set named for one n-gram in one document. An n-gram of more items is of the set's instructions, and rows
# would grow with the product of items and documents; the lists of clean and dirty items know all of them.
_MOST_ITEMS = 10


def count_ngrams(tables: Iterable[pa.Table]) -> pa.Table:
    """Rows of `ngram_counts/` for parts of `overlaps/`, each with all rows of its documents; ordered by n-gram."""
    counts: Counter[str] = Counter()
    for table in tables:
        distinct = table.group_by(["document_id", "ngram"]).aggregate([])
        for row in pc.value_counts(distinct.column("ngram")).to_pylist():
            counts[row["values"]] += row["counts"]
    ngrams = sorted(counts)
    return pa.table({"ngram": ngrams, "documents": [counts[one] for one in ngrams]}, schema=NGRAM_COUNTS)


@dataclass(frozen=True)
class KnownItems:
    """The items by number, and where their n-grams stand."""

    lookup: Lookup
    tasks: Sequence[str]
    ids: Sequence[str]


@dataclass
class _ItemTally:
    """What is known of one item: documents with it, documents that keep it, and one to look at."""

    documents: int = 0
    left: int = 0
    example: tuple[bytes, Match] | None = None

    def add(self, document_id: bytes, match: Match, left: bool) -> None:
        if self.example is None or (left and not self.left):
            self.example = document_id, match
        self.documents, self.left = self.documents + 1, self.left + left


@dataclass
class _Partition:
    """Decides about documents in order of their ids and collects what the tables say."""

    key: PartitionKey
    known: KnownItems
    common: frozenset[str]
    rules: Rules
    items: dict[int, _ItemTally] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.postings = cache(self.known.lookup.postings)
        self.words = cache(self.known.lookup.words_of_text)

    def rows(self, overlaps: pa.Table) -> Iterator[dict[str, Any]]:
        """Rows of `contaminated/` for one part of `overlaps/`."""
        for document_id, characters, matches in _documents(overlaps):
            decision = decide_document(characters, matches, self.postings, self.words, self.common, self.rules)
            for one in decision.items:
                self.items.setdefault(one.item, _ItemTally()).add(document_id, one.match, one.left)
            self._count(decision)
            for match, action in decision.actions:
                for item in self._named(self.postings(match.ngram)):
                    yield {
                        "document_id": document_id,
                        "source": self.key.source,
                        "partition": self.key.partition,
                        "task": self.known.tasks[item],
                        "item": self.known.ids[item],
                        "ngram": match.ngram,
                        "start": match.start,
                        "end": match.end,
                        "action": action,
                    }

    def _count(self, decision: Decision) -> None:
        self.counts["overlapping_documents"] += 1
        self.counts["dropped_documents"] += decision.goes
        self.counts["cut_documents"] += not decision.goes and any(action == "cut" for _, action in decision.actions)
        self.counts.update(f"{action}_ngrams" for _, action in decision.actions)

    def _named(self, postings: Sequence[Posting]) -> list[int]:
        """The items named for an n-gram: the first few of each set."""
        by_task: Counter[str] = Counter()
        named = []
        for item in sorted({one.item for one in postings if one.role & CUTS}):
            by_task[self.known.tasks[item]] += 1
            if by_task[self.known.tasks[item]] <= _MOST_ITEMS:
                named.append(item)
        return named

    def item_rows(self) -> pa.Table:
        """Rows of `item_overlaps/`, by item."""
        rows = []
        for item, tally in sorted(self.items.items()):
            assert tally.example is not None
            document_id, match = tally.example
            about = {"documents": tally.documents, "left": tally.left, "document_id": document_id, **match._asdict()}
            rows.append({"task": self.known.tasks[item], "item": self.known.ids[item], **about})
        return pa.Table.from_pylist(rows, schema=ITEM_OVERLAPS)


def _documents(overlaps: pa.Table) -> Iterator[tuple[bytes, int, list[Match]]]:
    """Each document of a part of `overlaps/`, which is sorted by document: its id, characters and matches."""
    current: tuple[bytes, int] | None = None
    matches: list[Match] = []
    for row in overlaps.to_pylist():
        document = row["document_id"], row["characters"]
        if current is not None and document != current:
            yield *current, matches
            matches = []
        current = document
        matches.append(Match(row["ngram"], row["start"], row["end"]))
    if current is not None:
        yield *current, matches


class CommonNgrams:
    """Which n-grams of a partition are common, counted over it and all before it.

    Counts are summed as partitions are asked for, so that each is read once. Memory: the n-grams that occur, at most
    those that are looked for.

    Args:
        root: the corpus.
        order: partitions, in partition order.
    """

    def __init__(self, root: CorpusRoot, order: Sequence[PartitionKey]) -> None:
        self._root, self._order = root, order
        self._before: Counter[str] = Counter()
        self._summed = 0

    def _counts(self, position: int) -> Counter[str]:
        counts: Counter[str] = Counter()
        for table in iterate_table(self._root, "ngram_counts", self._order[position]):
            counts.update(dict(zip(*(table.column(name).to_pylist() for name in NGRAM_COUNTS.names), strict=True)))
        return counts

    def of(self, position: int, most: int) -> frozenset[str]:
        """N-grams of a partition that more than `most` documents hold, none where `most` is 0; positions ascend."""
        if not most:
            return frozenset()
        assert self._summed <= position, f"{position} after {self._summed}"
        for before in range(self._summed, position):
            self._before.update(self._counts(before))
        self._summed = position
        counts = self._counts(position).items()
        return frozenset(ngram for ngram, documents in counts if documents + self._before[ngram] > most)


def decide_partition(
    root: CorpusRoot,
    key: PartitionKey,
    common: frozenset[str],
    known: KnownItems,
    config: DecontaminateConfig,
    folder: Folder,
) -> UnitOutput:
    """Decide about a partition and stage its tables.

    Args:
        root: the corpus.
        key: the partition.
        common: n-grams that stay because many documents hold them.
        known: the evaluation items.
        config: the settings.
        folder: the unit's work folder.
    """
    rules = Rules(CutRules.of(config.model_dump()), config.action == "drop", config.share)
    partition = _Partition(key, known, common, rules)
    place = folder.child("staged", "contaminated")
    files: list[StagedFile] = []
    for number, overlaps in enumerate(iterate_table(root, "overlaps", key)):
        rows = pa.Table.from_pylist(list(partition.rows(overlaps)), schema=CONTAMINATED)
        if rows.num_rows:
            files.append(stage_parquet(place, part_name(number), rows))
    items, place_of_items = partition.item_rows(), folder.child("staged", "item_overlaps")
    staged = (stage_parquet(place_of_items, part_name(0), items),) if items.num_rows else ()
    names = (
        "overlapping_documents",
        "cut_documents",
        "dropped_documents",
        "cut_ngrams",
        "drop_ngrams",
        "ignored_ngrams",
    )
    counts = {name: partition.counts[name] for name in names}
    return UnitOutput(
        tables={
            "contaminated": StagedTable(place, tuple(files)),
            "item_overlaps": StagedTable(place_of_items, staged),
        },
        counts={**counts, "common_ngrams": len(partition.common), "overlapping_items": items.num_rows},
    )
