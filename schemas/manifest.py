"""The manifest of one unit of work: what it read, what it wrote, under which settings.

A unit of work is one (stage, source, partition). It is done when its manifest is there; the manifest is the last thing
a unit writes. Its fingerprint says whether doing the unit again could give anything else.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.corpus_root import MANIFEST_NAME
from schemas.errors import ManifestError
from schemas.foreign_text import parse_json
from schemas.storage import Folder

__all__ = [
    "MANIFEST_VERSION",
    "InputRecord",
    "Manifest",
    "OutputFile",
    "PrefixFingerprints",
    "ReadFolder",
    "TableRecord",
    "canonical_json",
    "fingerprint",
    "read_manifest",
    "write_manifest",
]

MANIFEST_VERSION = 1


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputRecord(_Record):
    """One input of a unit: an upstream table, or a raw file."""

    name: str = Field(description="`documents/web/2026-30` for a table, the URL for a raw file")
    digest: str = Field(description="what is compared to skip the unit: content digest, or (size, mtime or ETag)")
    content_digest: str | None = Field(
        default=None, description="BLAKE2b-256 of a raw file's bytes, taken while reading"
    )


class OutputFile(_Record):
    """One file that a unit wrote; `name` is relative to its table's folder of this partition."""

    name: str
    rows: int
    bytes: int
    checksum: str = Field(default="", description="BLAKE2b-256 of the file's bytes, where readers compare them")


class TableRecord(_Record):
    """One table that a unit wrote."""

    rows: int
    digest: str = Field(description="order-independent digest of the rows, or of the bytes of token buffers")
    files: tuple[OutputFile, ...]


class Manifest(_Record):
    """See the module's text."""

    schema_version: int = MANIFEST_VERSION
    stage: str
    stage_version: int
    source: str
    partition: str
    fingerprint: str
    config: dict[str, Any] = Field(description="the settings that matter for the output")
    inputs: tuple[InputRecord, ...]
    tables: dict[str, TableRecord] = Field(description="by table: `documents`, `tokens/<tokenizer>/train`, …")
    counts: dict[str, int] = Field(default_factory=dict, description="items by kind, rows by reason, tokens, …")
    notes: dict[str, Any] = Field(default_factory=dict, description="what a reader of the report should know")
    seconds: float = 0.0
    peak_rss_bytes: int = 0
    workers: int = 1
    code_version: str = ""

    def digest(self) -> str:
        """What a later stage records as this unit's digest: the contents of its tables, nothing of how they came."""
        tables = {name: table.digest for name, table in sorted(self.tables.items())}
        return fingerprint({"tables": tables})


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value whose bytes are hashed."""
    return _CANONICAL.encode(value).encode("utf-8")


def fingerprint(value: Any) -> str:
    """BLAKE2b-256 of the canonical JSON of `value`, in hexadecimal."""
    return hashlib.blake2b(canonical_json(value), digest_size=32).hexdigest()


class PrefixFingerprints:
    """`fingerprint` of the list of the first n of some values, for any n, at the cost of hashing each value once.

    What a partition depends on grows with the partitions before it: over 1,000 of them, lists hold half a million
    entries. A value is asked for when a list first holds it.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        self._values = iter(values)
        self._state = hashlib.blake2b(b"[", digest_size=32)
        self._found = [self._ended()]

    def _ended(self) -> str:
        ended = self._state.copy()
        ended.update(b"]")
        return ended.hexdigest()

    def first(self, count: int) -> str:
        """The fingerprint of the list of the first `count` values, of which there must be as many."""
        while len(self._found) <= count:
            separator = b"," if len(self._found) > 1 else b""
            self._state.update(separator + canonical_json(next(self._values)))
            self._found.append(self._ended())
        return self._found[count]


@dataclass(frozen=True)
class ReadFolder(Folder):
    """A folder whose manifest was read before, of a corpus that is looked at as it was at one moment."""

    manifest: Manifest | None = None


def write_manifest(folder: Folder, manifest: Manifest) -> None:
    """Commit a unit: write its manifest as one whole file."""
    folder.put_whole(MANIFEST_NAME, manifest.model_dump_json(indent=1).encode("utf-8"))


def read_manifest(folder: Folder) -> Manifest | None:
    """The manifest in a folder; None where there is none.

    Raises:
        ManifestError: the file is damaged or of a version this code does not read.
    """
    if isinstance(folder, ReadFolder):
        return folder.manifest
    if not folder.exists(MANIFEST_NAME):
        return None
    data, where = folder.read(MANIFEST_NAME), f"{folder.url}/{MANIFEST_NAME}"
    return _small(data, where) if len(data) <= _KEPT_BYTES else _parsed(data, where)


def _parsed(data: bytes, where: str) -> Manifest:
    try:
        content = parse_json(data)
    except ValueError as error:
        raise ManifestError(f"{where} is damaged ({error}); delete it to do the unit again") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != MANIFEST_VERSION:
        raise ManifestError(f"{where} has version {version}, this program reads {MANIFEST_VERSION}")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise ManifestError(f"{where} does not fit its contract: {error.errors()[0]['msg']}; delete it") from error


# A unit looks a dozen times at the manifests of partitions before it. What they say is told by their bytes alone.
_KEPT_BYTES = 16 * 2**10
_small = functools.lru_cache(1024)(_parsed)
