"""Where everything of one corpus lies, and the order of its partitions.

<root>/corpus.toml                                   sources in order
<root>/<table>/<source>/<partition>/part-*.parquet   + manifest.json in the folder of a stage's first table
<root>/tokens/<tokenizer>/<split>/<source>/<partition>/shard-*.arrow
<root>/tokenizers/<name>/tokenizer.json     <root>/mixtures/<name>.json     <root>/classifiers/<name>/model.arrow
<root>/benchmarks/<name>/   ngrams/<name>/   clean-dirty/<name>/     evaluation sets: items, what is looked for, lists
<root>/.work/                                        temporary files of running units; `gc` removes what is left
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from schemas.errors import ConfigError
from schemas.foreign_text import parse_toml
from schemas.storage import Folder

__all__ = ["MANIFEST_NAME", "CorpusRoot", "PartitionKey", "natural_order"]

MANIFEST_NAME = "manifest.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class PartitionKey(NamedTuple):
    """One partition of one source; partition names may hold slashes (`CC-MAIN-2026-30/00012`)."""

    source: str
    partition: str

    def __str__(self) -> str:
        return f"{self.source}/{self.partition}"

    def checked(self) -> PartitionKey:
        """This key, if both names can be folder names.

        Raises:
            ConfigError: a name has other characters than letters, digits, '.', '_', '-' (and '/' in partitions).
        """
        parts = [("source", self.source), *(("partition", p) for p in self.partition.split("/"))]
        for what, name in parts:
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"{what} name {name!r} cannot be a folder name; use letters, digits, '.', '_' and '-', "
                    "starting with a letter or digit"
                )
        return self


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which `part-9` comes before `part-10`."""
    pieces = re.split(r"(\d+)", name)
    return [(1, int(p), p) if p.isdigit() else (0, 0, p) for p in pieces]


@dataclass(frozen=True)
class CorpusRoot:
    """One corpus: a folder behind any fsspec URL."""

    url: str

    @property
    def folder(self) -> Folder:
        """The root folder itself."""
        return Folder(self.url)

    def partition_folder(self, table: str, key: PartitionKey) -> Folder:
        """The folder of one partition of one table (for tokens: `tokens/<tokenizer>/<split>`)."""
        return self.folder.child(table, key.source, key.partition)

    def work_folder(self, stage: str, key: PartitionKey) -> Folder:
        """Where a unit of work keeps temporary files until it commits; never inside another unit's folder."""
        return self.folder.child(".work", stage, key.source, key.partition.replace("/", "+"))

    def lease_folder(self) -> Folder:
        """Where runs claim their units of work."""
        return self.folder.child(".work", "leases")

    def tokenizer_folder(self, name: str) -> Folder:
        """Where a frozen tokenizer lies."""
        return self.folder.child("tokenizers", name)

    def mixture_folder(self) -> Folder:
        """Where mixture plans lie."""
        return self.folder.child("mixtures")

    def sources_in_order(self) -> list[str]:
        """The list `sources` of `corpus.toml`; empty where there is none.

        Raises:
            ConfigError: the file cannot be read as TOML, or `sources` is no list of names.
        """
        if not self.folder.exists("corpus.toml"):
            return []
        try:
            content = parse_toml(self.folder.read("corpus.toml").decode("utf-8"))
        except ValueError as error:
            raise ConfigError(f"{self.url}/corpus.toml is not TOML: {error}") from error
        sources = content.get("sources", [])
        if not isinstance(sources, list) or not all(isinstance(name, str) for name in sources):
            raise ConfigError(f"{self.url}/corpus.toml: sources must be a list of source names, got {sources!r}")
        return sources

    def in_partition_order(self, keys: list[PartitionKey]) -> list[PartitionKey]:
        """Sort by (position of the source in `corpus.toml`, others after those by name; partition in natural order)."""
        position = {name: i for i, name in enumerate(self.sources_in_order())}

        def order(key: PartitionKey) -> tuple[int, str, list[tuple[int, int, str]]]:
            return position.get(key.source, len(position)), key.source, natural_order(key.partition)

        return sorted(keys, key=order)

    def partitions(self, table: str) -> list[PartitionKey]:
        """All partitions of a table that have a manifest, in partition order."""
        keys = []
        for relative in self.folder.child(table).find(MANIFEST_NAME):
            source, _, partition = relative.partition("/")
            if partition:
                keys.append(PartitionKey(source, partition))
        return self.in_partition_order(keys)
