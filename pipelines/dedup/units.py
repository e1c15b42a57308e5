"""The three units of work of a partition, and what each of them depends on.

unit          first table    depends on
signatures    signatures     the partition's documents
edges         edges          signatures of the partition and of all before it, in partition order
decisions     duplicates     edges of the partition, documents of it and of all before it, decisions of all before it

So a partition that is filled in before others makes their edges and decisions stale, and one after them does not. Where
the policy ranks across partitions (`scope = corpus`), decisions depend on the documents and edges of all partitions
instead. Where it ranks by date of capture, which is no part of a table's digest, they depend on the units that wrote
the documents too; and where the level url runs, on earlier edges, of texts whose documents all went by their URL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pipelines.engine.unit import Unit
from schemas.catalog import manifest_of
from schemas.configs.dedup import DedupConfig, EdgeConfig, SignatureConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import InputRecord, fingerprint

__all__ = ["DedupUnits"]


@dataclass(frozen=True)
class DedupUnits:
    """The units of a corpus as its committed tables stand.

    The digest of a table is read once: ask for the edges of a partition when all signatures are there, and for its
    decisions when its edges and all decisions before it are.

    Attributes:
        root: the corpus.
        config: the settings.
        version: the stage's version.
        order: all partitions with documents, in partition order.
    """

    root: CorpusRoot
    config: DedupConfig
    version: int
    order: Sequence[PartitionKey]
    _digests: dict[tuple[str, PartitionKey], str] = field(default_factory=dict, init=False)

    @cached_property
    def _signing(self) -> SignatureConfig:
        return self.config.narrowed(SignatureConfig)

    def _digest(self, table: str, key: PartitionKey) -> str:
        if (table, key) not in self._digests:
            manifest = manifest_of(self.root, table, key)
            self._digests[table, key] = manifest.tables[table].digest if manifest else "none"
        return self._digests[table, key]

    def _input(self, table: str, position: int) -> InputRecord:
        key = self.order[position]
        return InputRecord(name=f"{table}/{key}", digest=self._digest(table, key))

    def _inputs_of(self, table: str, positions: range, which: str) -> InputRecord:
        """One record for many partitions, so that a manifest stays small in a corpus of thousands."""
        found = [[str(self.order[position]), self._digest(table, self.order[position])] for position in positions]
        return InputRecord(name=f"{table} of {len(found)} partitions {which}", digest=fingerprint(found))

    def _dates(self, positions: range) -> InputRecord:
        """What dates of capture depend on: the units that wrote the documents."""
        manifests = [manifest_of(self.root, "documents", self.order[position]) for position in positions]
        units = [manifest.fingerprint if manifest else "none" for manifest in manifests]
        return InputRecord(name=f"dates of {len(units)} partitions", digest=fingerprint(units))

    def signatures(self, position: int) -> Unit:
        """The unit that writes `signatures/`."""
        return Unit(
            root=self.root,
            stage="dedup-signatures",
            version=self.version,
            key=self.order[position],
            table="signatures",
            config=self._signing,
            inputs=(self._input("documents", position),),
        )

    def edges(self, position: int) -> Unit:
        """The unit that writes `edges/`; the signatures that it depends on must be there."""
        return Unit(
            root=self.root,
            stage="dedup-edges",
            version=self.version,
            key=self.order[position],
            table="edges",
            config=self.config.narrowed(EdgeConfig),
            inputs=(self._input("signatures", position), self._inputs_of("signatures", range(position), "before")),
        )

    def decisions(self, position: int) -> Unit:
        """The unit that writes `duplicates/` and `clusters/`; the edges that it depends on must be there."""
        if self.config.scope == "corpus":
            used = range(len(self.order))
            tables = ["documents", "edges"] if self.config.near else ["documents"]
            inputs = [self._inputs_of(table, used, "in order") for table in tables]
        else:
            used = range(position + 1)
            inputs = [
                self._input("documents", position),
                self._inputs_of("documents", range(position), "before"),
                self._inputs_of("duplicates", range(position), "before"),
            ]
            if self.config.near:
                inputs.append(self._input("edges", position))
            if self.config.near and "url" in self.config.levels:
                inputs.append(self._inputs_of("edges", range(position), "before"))
        if any(key.name == "captured_at" for key in self.config.survivor_keys):
            inputs.append(self._dates(used))
        return Unit(
            root=self.root,
            stage="dedup",
            version=self.version,
            key=self.order[position],
            table="duplicates",
            config=self.config,
            inputs=tuple(inputs),
        )
