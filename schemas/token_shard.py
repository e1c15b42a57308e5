"""Token shards: Arrow IPC files, uncompressed, so that a reader maps them and copies nothing.

The shards of one (tokenizer, split, source, partition) are one stream of token ids, cut every `SHARD_TOKENS` tokens
wherever that falls. Documents follow each other in order of (document_id, piece); each ends with the end-of-text id.
Where a document starts is read from the index, never guessed from ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from schemas.errors import ShardError
from schemas.foreign_text import parse_json
from schemas.tables import ID

__all__ = [
    "INDEX_NAME",
    "INDEX_VERSION",
    "SHARD_TOKENS",
    "SHARD_VERSION",
    "TOKEN_INDEX",
    "IndexHeader",
    "ShardHeader",
    "header_of",
    "index_header_of",
    "index_schema",
    "shard_name",
    "shard_schema",
    "token_checksum",
    "token_dtype",
    "token_table",
    "tokenizer_fingerprint",
]

SHARD_VERSION = 1
INDEX_VERSION = 1
SHARD_TOKENS = 2**27
SMALL_VOCABULARY = 65_536  # ids up to 65,535 fit in uint16
INDEX_NAME = "index.parquet"
_HEADER_KEY = b"corpusmill.shard"
_INDEX_KEY = b"corpusmill.index"

# One row per piece of a document (decontamination can cut a document in pieces); rows in stream order.
TOKEN_INDEX = pa.schema(
    [
        pa.field("start", pa.uint64(), nullable=False),  # position in the stream of this partition and split
        pa.field("length", pa.uint64(), nullable=False),  # tokens, the end-of-text id included
        pa.field("document_id", ID, nullable=False),
        pa.field("piece", pa.int32(), nullable=False),
        pa.field("characters", pa.int64(), nullable=False),  # code points of the piece
        pa.field("utf8_bytes", pa.int64(), nullable=False),  # bytes of the piece; bits per byte divide by these
        pa.field("url", pa.string()),
        pa.field("record_file", pa.string()),
        pa.field("record_offset", pa.int64()),
        pa.field("record_id", pa.string()),
        pa.field("captured_at", pa.timestamp("us", tz="UTC")),
    ]
)


def token_dtype(vocabulary_size: int) -> pa.DataType:
    """The id type of a vocabulary: uint16 while the largest id fits, else uint32."""
    return pa.uint16() if vocabulary_size <= SMALL_VOCABULARY else pa.uint32()


def token_checksum(batches: Iterable[NDArray[np.unsignedinteger[Any]]]) -> str:
    """BLAKE2b-256 of the little-endian bytes of tokens that follow each other, in hexadecimal."""
    state = hashlib.blake2b(digest_size=32)
    for batch in batches:
        state.update(np.ascontiguousarray(batch, dtype=batch.dtype.newbyteorder("<")).data)
    return state.hexdigest()


def token_table(tokenizer: str, split: str) -> str:
    """The table (folder below the root) that holds the shards of one tokenizer and split."""
    return f"tokens/{tokenizer}/{split}"


def tokenizer_fingerprint(content: bytes) -> str:
    """BLAKE2b-256 of the bytes of `tokenizer.json`: the same fingerprint, the same ids for every text."""
    return hashlib.blake2b(content, digest_size=32).hexdigest()


def shard_name(number: int) -> str:
    """File name of the `number`-th shard of a stream."""
    return f"shard-{number:05d}.arrow"


class ShardHeader(BaseModel):
    """What every shard says of itself, as metadata of its Arrow schema."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = SHARD_VERSION
    tokenizer: str
    tokenizer_fingerprint: str
    vocabulary_size: int
    end_of_text: int
    source: str
    partition: str
    split: str
    number: int
    first_token: int  # position of the shard's first token in its stream
    tokens: int
    checksum: str  # BLAKE2b-256 of the little-endian token bytes


def shard_schema(header: ShardHeader) -> pa.Schema:
    """The Arrow schema of one shard: one column `token`, with the header as metadata."""
    metadata: dict[bytes | str, bytes | str] = {_HEADER_KEY: header.model_dump_json().encode()}
    return pa.schema([pa.field("token", token_dtype(header.vocabulary_size), nullable=False)], metadata=metadata)


class IndexHeader(BaseModel):
    """What an index says of the stream that it covers, as metadata of its Parquet schema."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = INDEX_VERSION
    tokenizer: str
    tokenizer_fingerprint: str
    source: str
    partition: str
    split: str
    documents: int  # rows
    tokens: int


def index_schema(header: IndexHeader) -> pa.Schema:
    """The Arrow schema of one index, with the header as metadata."""
    return TOKEN_INDEX.with_metadata({_INDEX_KEY: header.model_dump_json().encode()})


_Header = TypeVar("_Header", ShardHeader, IndexHeader)


def _read_header(schema: pa.Schema, where: str, key: bytes, kind: type[_Header], what: str, version: int) -> _Header:
    raw = (schema.metadata or {}).get(key)
    if raw is None:
        raise ShardError(f"{where} is not a token {what}: its schema has no corpusmill header")
    try:
        content: dict[str, Any] = parse_json(raw)
        if content.get("version") != version:
            raise ShardError(
                f"{where} is {'an' if what == 'index' else 'a'} {what} of version {content.get('version')}, this "
                f"program reads {version}"
            )
        return kind.model_validate(content)
    except (ValueError, AttributeError) as error:  # a ValidationError is a ValueError
        raise ShardError(f"{where} has a damaged header: {error}") from error


def header_of(schema: pa.Schema, where: str) -> ShardHeader:
    """The header of an opened shard.

    Raises:
        ShardError: the file at `where` is no token shard or of a version this code does not read.
    """
    header = _read_header(schema, where, _HEADER_KEY, ShardHeader, "shard", SHARD_VERSION)
    stored = schema.field("token").type if schema.names == ["token"] else f"columns {schema.names}"
    if stored != token_dtype(header.vocabulary_size):
        raise ShardError(
            f"{where} stores {stored}, a vocabulary of {header.vocabulary_size} needs "
            f"{token_dtype(header.vocabulary_size)}"
        )
    return header


def index_header_of(schema: pa.Schema, where: str) -> IndexHeader:
    """The header of an opened index.

    Raises:
        ShardError: the file at `where` is no index of a token stream or of a version this code does not read.
    """
    header = _read_header(schema, where, _INDEX_KEY, IndexHeader, "index", INDEX_VERSION)
    if not schema.equals(TOKEN_INDEX):
        raise ShardError(f"{where} has columns {', '.join(schema.names)}, an index has {', '.join(TOKEN_INDEX.names)}")
    return header
