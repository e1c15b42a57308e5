"""Digests of committed tables as units depend on them: of one partition, or of all before it; each is read once."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.catalog import manifest_of
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import InputRecord, PrefixFingerprints

__all__ = ["TableDigests"]


class TableDigests:
    """The tables of a corpus, `none` where one is not committed.

    A digest stays as it was when it was first asked for: ask when the unit that writes the table is through.

    Args:
        root: the corpus.
        order: partitions, in partition order.
    """

    def __init__(self, root: CorpusRoot, order: Sequence[PartitionKey]) -> None:
        self._root, self._order = root, order
        self._digests: dict[tuple[str, PartitionKey], str] = {}
        self._prefixes: dict[str, PrefixFingerprints] = {}

    def digest(self, table: str, key: PartitionKey) -> str:
        """The digest of a table of one partition."""
        if (table, key) not in self._digests:
            manifest = manifest_of(self._root, table, key)
            self._digests[table, key] = manifest.tables[table].digest if manifest else "none"
        return self._digests[table, key]

    def record(self, table: str, key: PartitionKey) -> InputRecord:
        """A table of one partition as an input."""
        return InputRecord(name=f"{table}/{key}".rstrip("/"), digest=self.digest(table, key))

    def of_first(self, table: str, count: int, which: str) -> InputRecord:
        """A table of the first `count` partitions as one input, so that manifests stay small; `which` names them."""
        if table not in self._prefixes:
            self._prefixes[table] = PrefixFingerprints([str(key), self.digest(table, key)] for key in self._order)
        return InputRecord(name=f"{table} of {count} partitions {which}", digest=self._prefixes[table].first(count))
