"""One shard: mapped into memory from a local disk, or in ranges from another file system, checked either way."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.corpus_root import CorpusRoot
from schemas.errors import ShardError
from schemas.mixture import MixturePlan, ShardRef
from schemas.storage import Folder, join_url
from schemas.token_shard import ShardHeader, header_of, shard_name, token_checksum, token_dtype, token_table
from training.data.block_cache import BlockCache, RemoteFile

__all__ = ["RemoteTokens", "Tokens", "open_shard"]

_MAGIC = b"ARROW1\0\0"
_CONTINUED, _END = b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\0\0\0\0"
_FIRST_BYTES = 2**16  # of a shard: schema with header, and the description of its one batch
# What the library raises on files that are no longer what was written.
_DAMAGE = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError, OSError, KeyError, ValueError, struct.error)


@dataclass(frozen=True)
class RemoteTokens:
    """The tokens of a remote shard; a slice of them is fetched when it is asked for."""

    cache: BlockCache
    file: RemoteFile
    first_byte: int
    tokens: int
    dtype: np.dtype[np.unsignedinteger[Any]]

    def __len__(self) -> int:
        return self.tokens

    def byte_range(self, start: int, stop: int) -> tuple[RemoteFile, int, int]:
        """The file, and the bytes in which tokens `start` to `stop` of it lie."""
        size = self.dtype.itemsize
        return self.file, self.first_byte + start * size, self.first_byte + min(stop, self.tokens) * size

    def __getitem__(self, part: Any) -> NDArray[np.unsignedinteger[Any]]:
        start, stop, _ = part.indices(self.tokens)
        data = self.cache.read(*self.byte_range(start, stop))
        return np.frombuffer(data, dtype=self.dtype.newbyteorder("<"))

    def pieces(self) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
        """All tokens in order, in pieces of some MiB, each fetched once."""
        for data in self.cache.read_through(*self.byte_range(0, self.tokens)):
            yield np.frombuffer(data, dtype=self.dtype.newbyteorder("<"))


Tokens = NDArray[np.uint16] | NDArray[np.uint32] | RemoteTokens


def _check_header(header: ShardHeader, shard: ShardRef, plan: MixturePlan, where: str) -> None:
    table = token_table(header.tokenizer, header.split)
    named = join_url(table, header.source, header.partition, shard_name(header.number))
    facts = [
        ("tokens", header.tokens, shard.tokens),
        ("checksum", header.checksum, shard.checksum),
        ("tokenizer", header.tokenizer_fingerprint, plan.tokenizer_fingerprint),
        ("vocabulary size", header.vocabulary_size, plan.vocabulary_size),
        ("end-of-text id", header.end_of_text, plan.end_of_text),
        ("place", named, shard.path),
    ]
    for what, found, wanted in facts:
        if found != wanted:
            raise ShardError(
                f"{where} has {what} {found}, mixture {plan.name} pins {wanted}; "
                "run `corpusmill run mix` under a new name for the shards that are there now"
            )


def _batches(buffer: Any, where: str) -> tuple[ShardHeader, list[Any]]:
    reader = pa.ipc.open_file(buffer)
    header = header_of(reader.schema, where)
    found = []
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        batch.validate(full=True)  # lengths that reach beyond the buffer would read other memory
        found.append(batch.column("token").to_numpy())
    return header, found


def _message_end(data: bytes, start: int) -> int:
    """Where the message (or its body) begins that follows the description at `start`."""
    if data[start : start + 4] != _CONTINUED:
        raise ValueError(f"no message at byte {start}")
    (size,) = struct.unpack_from("<i", data, start + 4)
    return start + 8 + int(size)


def _open_remote(folder: Folder, name: str, digest: str, cache: BlockCache) -> tuple[ShardHeader, RemoteTokens] | None:
    """The tokens of a shard of one batch, without reading them; None for other files."""
    filesystem, _ = folder.filesystem()
    path = folder.path(name)
    size = int(filesystem.size(path))
    data = bytes(filesystem.cat_file(path, start=0, end=min(size, _FIRST_BYTES)))
    if data[:8] != _MAGIC:
        raise ValueError("it does not begin as an Arrow file does")
    header = header_of(pa.ipc.read_schema(pa.BufferReader(data[8:])), f"{folder.url}/{name}")
    first = _message_end(data, _message_end(data, 8))
    dtype = np.dtype(str(token_dtype(header.vocabulary_size)))
    stop = first + -(-header.tokens * dtype.itemsize // 8) * 8
    # Object stores refuse a range that begins behind the end.
    if stop + 8 > size or bytes(filesystem.cat_file(path, start=stop, end=stop + 8)) != _END:
        return None
    return header, RemoteTokens(cache, RemoteFile(folder, name, size, digest), first, header.tokens, dtype)


def _open(folder: Folder, name: str, digest: str, cache: BlockCache, where: str) -> tuple[ShardHeader, list[Tokens]]:
    if folder.is_local:
        return _batches(pa.memory_map(folder.path(name)), where)
    remote = _open_remote(folder, name, digest, cache)
    if remote is not None:
        return remote[0], [remote[1]]
    return _batches(pa.py_buffer(folder.read(name)), where)


def _pieces(tokens: Tokens) -> Iterator[NDArray[Any]]:
    if isinstance(tokens, RemoteTokens):
        return tokens.pieces()
    step = 2**22
    return (tokens[at : at + step] for at in range(0, len(tokens), step))


def open_shard(root: CorpusRoot, shard: ShardRef, plan: MixturePlan, verify: bool, cache: BlockCache) -> list[Tokens]:
    """The tokens of one shard, in the batches that it was written in.

    Raises:
        ShardError: it is missing, damaged or another one than the plan pins; the message names the file.
    """
    where = f"{root.url}/{shard.path}"
    place, _, name = shard.path.rpartition("/")
    try:
        header, batches = _open(root.folder.child(place), name, shard.checksum, cache, where)
    except FileNotFoundError as error:
        raise ShardError(f"{where} is missing, and mixture {plan.name} pins it; run tokenize again") from error
    except _DAMAGE as error:
        raise ShardError(f"{where} is damaged: {error}; remove it and run tokenize again") from error
    _check_header(header, shard, plan, where)
    if sum(map(len, batches)) != header.tokens:
        raise ShardError(f"{where} holds {sum(map(len, batches))} tokens, its header says {header.tokens}")
    if verify and token_checksum(part for batch in batches for part in _pieces(batch)) != header.checksum:
        raise ShardError(f"{where} is damaged: its tokens do not give its checksum; remove it and run tokenize again")
    return batches
