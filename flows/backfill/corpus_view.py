"""A corpus as it is at one moment, for asking the stages which of their units are done.

The stages' own units of work are asked, with manifests that are read once, so that a plan says what a run would do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flows.backfill.known_manifests import KnownManifests
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import ReadFolder
from schemas.storage import Folder

__all__ = ["CorpusView", "view_of"]


@dataclass(frozen=True)
class CorpusView(CorpusRoot):
    """A corpus whose manifests are known."""

    known: KnownManifests = field(compare=False)

    def partition_folder(self, table: str, key: PartitionKey) -> Folder:
        """As of a corpus; `read_manifest` gives what is known."""
        url = f"{self.url.rstrip('/')}/{table}/{key.source}/{key.partition}".rstrip("/")
        return ReadFolder(url, self.known.manifest(table, key))

    def partitions(self, table: str) -> list[PartitionKey]:
        """As of a corpus, listed once."""
        return self.known.keys(table)


def view_of(root: CorpusRoot) -> CorpusView:
    """A look at a corpus."""
    return CorpusView(root.url, KnownManifests(root))
