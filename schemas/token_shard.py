"""Token shards: Arrow IPC files, uncompressed, so that a reader maps them and copies nothing.

The shards of one (tokenizer, split, source, partition) are one stream of token ids, cut every `SHARD_TOKENS` tokens
wherever that falls. Documents follow each other in order of (document_id, piece); each ends with the end-of-text id.
Where a document starts is read from the index, never guessed from ids.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import ShardError
from schemas.tables import ID

__all__ = [
    "INDEX_NAME",
    "SHARD_TOKENS",
    "SHARD_VERSION",
    "TOKEN_INDEX",
    "ShardHeader",
    "header_of",
    "shard_name",
    "shard_schema",
    "token_checksum",
    "token_dtype",
    "token_table",
    "tokenizer_fingerprint",
]

SHARD_VERSION = 1
SHARD_TOKENS = 2**27
SMALL_VOCABULARY = 65_536  # ids up to 65,535 fit in uint16
INDEX_NAME = "index.parquet"
_HEADER_KEY = b"corpusmill.shard"

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


def header_of(schema: pa.Schema, where: str) -> ShardHeader:
    """The header of an opened shard.

    Raises:
        ShardError: the file at `where` is no token shard or of a version this code does not read.
    """
    raw = (schema.metadata or {}).get(_HEADER_KEY)
    if raw is None:
        raise ShardError(f"{where} is not a token shard: its schema has no corpusmill header")
    try:
        content: dict[str, Any] = json.loads(raw)
        if content.get("version") != SHARD_VERSION:
            version = content.get("version")
            raise ShardError(f"{where} is a shard of version {version}, this program reads {SHARD_VERSION}")
        header = ShardHeader.model_validate(content)
    except (ValueError, ValidationError) as error:
        raise ShardError(f"{where} has a damaged header: {error}") from error
    if schema.field("token").type != token_dtype(header.vocabulary_size):
        raise ShardError(
            f"{where} stores {schema.field('token').type}, a vocabulary of {header.vocabulary_size} needs "
            f"{token_dtype(header.vocabulary_size)}"
        )
    return header
