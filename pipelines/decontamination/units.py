"""The units of work of the stage, and what each of them depends on.

unit        first table      depends on
items       benchmarks       the evaluation files
n-grams     ngrams           the items
overlaps    overlaps         the n-grams; documents and duplicates of the partition
decisions   contaminated     overlaps of the partition; counts of n-grams of all partitions before it
lists       clean-dirty      decisions of all partitions that have any

The first two and the last belong to a collection of evaluation sets and to no partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pipelines.engine.table_digests import TableDigests
from pipelines.engine.unit import Unit
from schemas.catalog import manifest_of, require_manifest
from schemas.clean_dirty import LISTS
from schemas.configs.decontaminate import BenchmarkConfig, DecontaminateConfig, NgramConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import InputRecord, fingerprint

__all__ = ["BENCHMARKS", "NGRAMS", "DecontaminateUnits"]

BENCHMARKS, NGRAMS = "benchmarks", "ngrams"


@dataclass(frozen=True)
class DecontaminateUnits:
    """The units of a corpus as its committed tables stand.

    The digest of a table is read once: ask for a unit when those that it depends on are through.

    Attributes:
        root: the corpus.
        config: the settings.
        version: the stage's version.
        order: all partitions with documents, in partition order.
    """

    root: CorpusRoot
    config: DecontaminateConfig
    version: int
    order: Sequence[PartitionKey]

    @property
    def collection(self) -> PartitionKey:
        """The key of units that belong to the collection."""
        return PartitionKey(self.config.name, "")

    @cached_property
    def _tables(self) -> TableDigests:
        return TableDigests(self.root, self.order)

    @cached_property
    def _searching(self) -> NgramConfig:
        return self.config.narrowed(NgramConfig)

    def _of_collection(self) -> tuple[InputRecord, ...]:
        return tuple(self._tables.record(table, self.collection) for table in (BENCHMARKS, NGRAMS))

    def items(self, files: tuple[InputRecord, ...]) -> Unit:
        """The unit that reads evaluation files."""
        return Unit(
            root=self.root,
            stage="decontaminate-items",
            version=self.version,
            key=self.collection,
            table=BENCHMARKS,
            config=self.config.narrowed(BenchmarkConfig),
            inputs=files,
        )

    def ngrams(self) -> Unit:
        """The unit that makes what is looked for; the items must be there."""
        return Unit(
            root=self.root,
            stage="decontaminate-ngrams",
            version=self.version,
            key=self.collection,
            table=NGRAMS,
            config=self._searching,
            inputs=(self._tables.record(BENCHMARKS, self.collection),),
        )

    def overlaps(self, position: int) -> Unit:
        """The unit that searches the documents of a partition; the n-grams must be there."""
        key = self.order[position]
        inputs = [self._tables.record("documents", key), self._tables.record(NGRAMS, self.collection)]
        duplicates = self._tables.record("duplicates", key)
        if duplicates.digest != "none":
            inputs.append(duplicates)
        return Unit(
            root=self.root,
            stage="decontaminate-overlaps",
            version=self.version,
            key=key,
            table="overlaps",
            config=self._searching,
            inputs=tuple(inputs),
        )

    def decisions(self, position: int) -> Unit:
        """The unit that decides about a partition; its overlaps and those of all before it must be there."""
        key = self.order[position]
        counted = self._tables.of_first("ngram_counts", position, "before")
        return Unit(
            root=self.root,
            stage="decontaminate",
            version=self.version,
            key=key,
            table="contaminated",
            config=self.config,
            inputs=(self._tables.record("overlaps", key), counted, *self._of_collection()),
        )

    def decided(self) -> list[PartitionKey]:
        """The partitions that have decisions about this very collection, in partition order."""
        wanted = {(one.name, one.digest) for one in self._of_collection()}
        found = []
        for key in self.order:
            manifest = manifest_of(self.root, "contaminated", key)
            if manifest and wanted <= {(one.name, one.digest) for one in manifest.inputs}:
                found.append(key)
        return found

    def lists(self) -> Unit:
        """The unit that writes the lists of clean and dirty items."""
        tables = [[str(key), require_manifest(self.root, "contaminated", key).digest()] for key in self.decided()]
        decided = InputRecord(name=f"contaminated of {len(tables)} partitions", digest=fingerprint(tables))
        return Unit(
            root=self.root,
            stage="decontaminate-lists",
            version=self.version,
            key=self.collection,
            table=LISTS,
            config=self._searching,
            inputs=(decided, *self._of_collection()),
        )
