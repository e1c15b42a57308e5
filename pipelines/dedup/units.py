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
from dataclasses import dataclass
from functools import cached_property

from pipelines.engine.table_digests import TableDigests
from pipelines.engine.unit import Unit
from schemas.catalog import manifest_of
from schemas.configs.dedup import DedupConfig, EdgeConfig, SignatureConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import InputRecord, PrefixFingerprints

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

    @cached_property
    def _tables(self) -> TableDigests:
        return TableDigests(self.root, self.order)

    @cached_property
    def _signing(self) -> SignatureConfig:
        return self.config.narrowed(SignatureConfig)

    @cached_property
    def _connecting(self) -> EdgeConfig:
        return self.config.narrowed(EdgeConfig)

    @cached_property
    def _writers(self) -> PrefixFingerprints:
        """The units that wrote the documents."""
        manifests = (manifest_of(self.root, "documents", key) for key in self.order)
        return PrefixFingerprints(manifest.fingerprint if manifest else "none" for manifest in manifests)

    def _dates(self, count: int) -> InputRecord:
        """What dates of capture in the first `count` partitions depend on."""
        return InputRecord(name=f"dates of {count} partitions", digest=self._writers.first(count))

    def signatures(self, position: int) -> Unit:
        """The unit that writes `signatures/`."""
        return Unit(
            root=self.root,
            stage="dedup-signatures",
            version=self.version,
            key=self.order[position],
            table="signatures",
            config=self._signing,
            inputs=(self._tables.record("documents", self.order[position]),),
        )

    def edges(self, position: int) -> Unit:
        """The unit that writes `edges/`; the signatures that it depends on must be there."""
        return Unit(
            root=self.root,
            stage="dedup-edges",
            version=self.version,
            key=self.order[position],
            table="edges",
            config=self._connecting,
            inputs=(
                self._tables.record("signatures", self.order[position]),
                self._tables.of_first("signatures", position, "before"),
            ),
        )

    def decisions(self, position: int) -> Unit:
        """The unit that writes `duplicates/` and `clusters/`; the edges that it depends on must be there."""
        key, tables = self.order[position], self._tables
        if self.config.scope == "corpus":
            used = len(self.order)
            named = ["documents", "edges"] if self.config.near else ["documents"]
            inputs = [tables.of_first(table, used, "in order") for table in named]
        else:
            used = position + 1
            inputs = [
                tables.record("documents", key),
                tables.of_first("documents", position, "before"),
                tables.of_first("duplicates", position, "before"),
            ]
            if self.config.near:
                inputs.append(tables.record("edges", key))
            if self.config.near and "url" in self.config.levels:
                inputs.append(tables.of_first("edges", position, "before"))
        if any(one.name == "captured_at" for one in self.config.survivor_keys):
            inputs.append(self._dates(used))
        return Unit(
            root=self.root,
            stage="dedup",
            version=self.version,
            key=key,
            table="duplicates",
            config=self.config,
            inputs=tuple(inputs),
        )
