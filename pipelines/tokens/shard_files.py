"""Writing shards and their index into a work folder, each read back before it counts as written."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.engine.staging import StagedFile
from pipelines.tokens.encoded import EncodedBlock, read_index
from pipelines.tokens.encoding import Ids
from pipelines.tokens.frozen import FrozenTokenizer
from pipelines.tokens.stream import ShardCut
from schemas.corpus_root import PartitionKey
from schemas.errors import ShardError
from schemas.identity import length_prefixed
from schemas.row_hash import row_hashes
from schemas.storage import Folder, file_checksum
from schemas.token_shard import (
    INDEX_NAME,
    TOKEN_INDEX,
    IndexHeader,
    ShardHeader,
    index_schema,
    shard_name,
    shard_schema,
    token_checksum,
    token_dtype,
)

__all__ = ["StreamFacts", "write_index", "write_shard"]


@dataclass(frozen=True)
class StreamFacts:
    """What all shards of one stream have in common."""

    tokenizer: FrozenTokenizer
    key: PartitionKey
    split: str

    def header(self, cut: ShardCut, checksum: str) -> ShardHeader:
        """The header of one shard."""
        return ShardHeader(
            tokenizer=self.tokenizer.name,
            tokenizer_fingerprint=self.tokenizer.fingerprint,
            vocabulary_size=self.tokenizer.vocabulary_size,
            end_of_text=self.tokenizer.end_of_text,
            source=self.key.source,
            partition=self.key.partition,
            split=self.split,
            number=cut.number,
            first_token=cut.first_token,
            tokens=cut.tokens,
            checksum=checksum,
        )

    def index_header(self, documents: int, tokens: int) -> IndexHeader:
        """The header of the stream's index."""
        return IndexHeader(
            tokenizer=self.tokenizer.name,
            tokenizer_fingerprint=self.tokenizer.fingerprint,
            source=self.key.source,
            partition=self.key.partition,
            split=self.split,
            documents=documents,
            tokens=tokens,
        )


def _join(cut: ShardCut, blocks: Sequence[EncodedBlock], dtype: np.dtype[np.unsignedinteger]) -> Ids:
    """The tokens of one shard, from the temporary files: at 2^27 tokens 256 or 512 MiB."""
    tokens = np.empty(cut.tokens, dtype=dtype)
    done = 0
    for one in cut.slices:
        folder, _, name = blocks[one.piece].url.rpartition("/")
        with Folder(folder).open_read(f"{name}.tokens") as stream:
            stream.seek(one.start * dtype.itemsize)
            data = stream.read(one.tokens * dtype.itemsize)
        tokens[done : done + one.tokens] = np.frombuffer(data, dtype=dtype.newbyteorder("<"))
        done += one.tokens
    return tokens


class _Hashed(io.RawIOBase):
    """A stream that is written to, with the hash of what was written."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._state = hashlib.blake2b(digest_size=32)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._state.update(data)
        return self._stream.write(data)

    def tell(self) -> int:
        return self._stream.tell()

    def checksum(self) -> str:
        return self._state.hexdigest()


def _verify(folder: Folder, name: str, checksum: str) -> None:
    if file_checksum(folder, name) != checksum:
        raise ShardError(
            f"{folder.url}/{name} does not read back as it was written; look at the disk, then run tokenize again"
        )


def write_shard(folder: Folder, facts: StreamFacts, cut: ShardCut, blocks: Sequence[EncodedBlock]) -> StagedFile:
    """Join one shard from temporary files, write it, and read it back.

    Raises:
        ShardError: what was written is not what is read.
    """
    kind, name = token_dtype(facts.tokenizer.vocabulary_size), shard_name(cut.number)
    tokens = _join(cut, blocks, np.dtype(str(kind)))
    header = facts.header(cut, token_checksum([tokens]))
    column = pa.Array.from_buffers(kind, len(tokens), [None, pa.py_buffer(tokens)])
    schema = shard_schema(header)
    with folder.open_write(name) as stream:
        hashed = _Hashed(stream)
        with pa.ipc.new_file(hashed, schema) as writer:
            writer.write_batch(pa.record_batch([column], schema=schema))
        size = stream.tell()
    _verify(folder, name, hashed.checksum())
    # The name enters: two shards that change places are another stream.
    content = length_prefixed(name.encode(), bytes.fromhex(header.checksum))
    digest = hashlib.blake2b(content, digest_size=32).hexdigest()
    return StagedFile(name, header.tokens, size, digest, hashed.checksum())


def write_index(folder: Folder, facts: StreamFacts, blocks: Sequence[EncodedBlock]) -> StagedFile:
    """Write the index of one stream, a row a document, from the temporary files.

    Raises:
        ShardError: what was written is not what is read, or it does not cover the stream.
    """
    header = facts.index_header(sum(block.documents for block in blocks), sum(block.tokens for block in blocks))
    start = rows = 0
    digest = hashlib.blake2b(digest_size=32)
    with folder.open_write(INDEX_NAME) as stream:
        hashed = _Hashed(stream)
        with pq.ParquetWriter(hashed, index_schema(header), compression="zstd") as writer:
            for block in blocks:
                stored = read_index(block)
                ends = np.cumsum(stored.column("length").to_numpy(), dtype=np.uint64)
                starts = np.concatenate([np.zeros(1, np.uint64), ends[:-1]]) + np.uint64(start)
                table = stored.add_column(0, TOKEN_INDEX.field("start"), pa.array(starts)).cast(index_schema(header))
                digest.update(b"".join(row_hashes(table)))
                writer.write_table(table)
                start, rows = start + int(ends[-1]), rows + table.num_rows
        size = stream.tell()
    if (rows, start) != (header.documents, header.tokens):
        raise ShardError(f"{folder.url}/{INDEX_NAME} does not cover its stream; run tokenize again")
    _verify(folder, INDEX_NAME, hashed.checksum())
    return StagedFile(INDEX_NAME, rows, size, digest.hexdigest(), hashed.checksum())
