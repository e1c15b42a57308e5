"""The same items in other files and another order, and what the shards of a corpus hold, byte for byte."""

from __future__ import annotations

import gzip
import hashlib
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

from pipelines.corpus_digest import corpus_digest
from schemas.corpus_root import CorpusRoot
from schemas.manifest import fingerprint

__all__ = ["reordered", "resharded", "shard_digest", "shard_files"]

_FILES = 5  # into which a file of many items is cut
_LEAST_RECORDS = 20


def _members(data: bytes) -> Iterator[bytes]:
    """The members of a gzip file, one WARC record each."""
    while data:
        opened = zlib.decompressobj(wbits=31)
        opened.decompress(data)
        if not opened.eof:
            raise zlib.error("cut short")
        member, data = data[: len(data) - len(opened.unused_data)], opened.unused_data
        yield member


def _items(path: Path) -> list[bytes]:
    """What a file is cut into: the records of a WARC file, the lines of JSONL; else all of it."""
    data = path.read_bytes()
    try:
        plain = gzip.decompress(data) if path.suffix == ".gz" else data
        if plain.startswith(b"{"):
            return plain.splitlines(keepends=True)
        records = list(_members(data)) if path.name.endswith(".warc.gz") else []
    except (OSError, EOFError, zlib.error):  # damaged files are input too
        records = []
    return records if len(records) >= _LEAST_RECORDS else [data]


def _write(parts: list[bytes], folder: Path, seed: int) -> Path:
    """Files of these contents under names that are no longer theirs, in another order."""
    for number, data in enumerate(random.Random(seed).sample(parts, len(parts))):
        path = folder / f"{number % 7}" / f"{number:05d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def _files(inputs: Path) -> list[Path]:
    return sorted(path for path in inputs.rglob("*") if path.is_file())


def reordered(inputs: Path, folder: Path, seed: int) -> Path:
    """The files of a folder under other names, in which they are listed in another order."""
    return _write([path.read_bytes() for path in _files(inputs)], folder, seed)


def resharded(inputs: Path, folder: Path, seed: int) -> Path:
    """The items of a folder in other files: WARC and JSONL files cut into several, their items mixed."""
    draws, parts = random.Random(seed), []
    for path in _files(inputs):
        items = _items(path)
        mixed = draws.sample(items, len(items))
        count = min(_FILES, len(mixed))
        parts += [b"".join(mixed[number::count]) for number in range(count)]
    return _write(parts, folder, seed)


def shard_files(root: Path) -> dict[str, str]:
    """By path, the SHA-256 of each token shard."""
    found = sorted((root / "tokens").rglob("shard-*.arrow"))
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def shard_digest(root: Path) -> str:
    """One hash of all shards, as files, and of all indexes, row for row without the address of the record."""
    tables = corpus_digest(CorpusRoot(str(root))).by_table
    return fingerprint([shard_files(root), {name: one for name, one in tables.items() if name.endswith("/index")}])
