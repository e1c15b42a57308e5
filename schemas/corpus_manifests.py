"""Everything that manifests say about a corpus, read once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from schemas.corpus_root import MANIFEST_NAME, CorpusRoot
from schemas.manifest import Manifest, read_manifest

__all__ = ["CorpusManifests"]

_TEMPORARY = ".work"


@dataclass(frozen=True)
class CorpusManifests:
    """All committed units of a corpus, in order of their folders' names."""

    units: tuple[Manifest, ...]

    @classmethod
    def read(cls, root: CorpusRoot) -> CorpusManifests:
        """Read every manifest below the root.

        Raises:
            ManifestError: one is damaged or of a version this code does not read.
        """
        folders = [name for name in root.folder.find(MANIFEST_NAME) if not name.startswith(_TEMPORARY)]
        read = (read_manifest(root.folder.child(name)) for name in folders)
        return cls(tuple(manifest for manifest in read if manifest is not None))

    def of(self, stage: str) -> list[Manifest]:
        """The units of one stage."""
        return [unit for unit in self.units if unit.stage == stage]

    def count(self, stage: str, name: str) -> int:
        """Sum of one count over the units of a stage."""
        return sum(unit.counts.get(name, 0) for unit in self.of(stage))

    def counts_under(self, stage: str, prefix: str) -> dict[str, int]:
        """Sums of all counts of a stage whose names begin with `prefix`, by the rest of the name."""
        sums: defaultdict[str, int] = defaultdict(int)
        for unit in self.of(stage):
            for name, value in unit.counts.items():
                if name.startswith(prefix):
                    sums[name.removeprefix(prefix)] += value
        return dict(sums)
