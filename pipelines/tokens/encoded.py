"""Encoded documents on their way into shards: temporary files of tokens with the index rows that go with them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.tokens.encoding import Ids, TextEncoder
from schemas.errors import ContractError
from schemas.identity import HASH_BYTES
from schemas.split import SPLITS, Split, splits_of
from schemas.storage import Folder
from schemas.token_shard import TOKEN_INDEX

__all__ = ["INPUT_COLUMNS", "EncodedBlock", "EncodedSplit", "encode_block", "read_index", "spill_block"]

_RECORD_COLUMNS = ["url", "record_file", "record_offset", "record_id", "captured_at"]
INPUT_COLUMNS = ["document_id", "content_hash", "text", *_RECORD_COLUMNS]
_STORED_INDEX = pa.schema([field for field in TOKEN_INDEX if field.name != "start"])
_DECODED_SHARE = 0.01  # of documents whose ids are decoded and compared; the byte lengths are compared for all


@dataclass(frozen=True)
class EncodedSplit:
    """The documents of one block that fall into one split: their ids in stream order, and their index without start."""

    split: Split
    tokens: Ids
    index: pa.Table


@dataclass(frozen=True)
class EncodedBlock:
    """Where an `EncodedSplit` was written: block number `block` of part number `part` of the documents."""

    part: int
    block: int
    url: str
    documents: int
    tokens: int
    first_id: bytes
    last_id: bytes


def _hashes(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    """A column of 16-byte hashes as (N, 16)."""
    array = pc.cast(pa.chunked_array(column.chunks, column.type).combine_chunks(), pa.binary(HASH_BYTES))
    data = np.frombuffer(array.buffers()[1], dtype=np.uint8)
    return data[array.offset * HASH_BYTES :][: len(array) * HASH_BYTES].reshape(-1, HASH_BYTES)


def _check_some(encoder: TextEncoder, hashes: NDArray[np.uint8], texts: list[str], encoded: list[Ids]) -> None:
    # The first 8 bytes of a hash say the split; the others are as good as a draw.
    draws = np.ascontiguousarray(hashes[:, 8:]).view(">u8")[:, 0]
    for number in np.flatnonzero(draws < _DECODED_SHARE * 2**64).tolist():
        if encoder.decode(encoded[number]) != texts[number].encode("utf-8"):
            raise ContractError(
                f"the ids of the text {hashes[number].tobytes().hex()} decode to another text; make another tokenizer"
            )


def encode_block(encoder: TextEncoder, rows: pa.Table, test: float, validation: float) -> Iterator[EncodedSplit]:
    """Encode documents, each followed by the end-of-text id, and part them by split.

    Args:
        encoder: of the tokenizer.
        rows: `INPUT_COLUMNS` and `piece`, in the order of (document_id, piece); `text` is the piece's.
        test: share of test documents.
        validation: share of validation documents.

    Raises:
        ContractError: the tokenizer loses text, or the rows are out of order.
    """
    places = zip(rows.column("document_id").to_pylist(), rows.column("piece").to_pylist(), strict=True)
    if any(left >= right for left, right in pairwise(places)):
        raise ContractError("documents are not in the order of their ids, each once; run clean again")
    texts = rows.column("text").to_pylist()
    sizes = pc.binary_length(rows.column("text")).cast(pa.int64())
    encoded = encoder.unchecked(texts)
    encoder.check(texts, encoded, sizes.to_numpy())
    hashes = _hashes(rows.column("content_hash"))
    _check_some(encoder, hashes, texts, encoded)
    end = np.array([encoder.end_of_text], dtype=encoder.dtype)
    index = pa.table(
        {
            "length": pa.array([len(ids) + 1 for ids in encoded], pa.uint64()),
            "document_id": rows.column("document_id"),
            "piece": rows.column("piece"),
            "characters": pc.utf8_length(rows.column("text")).cast(pa.int64()),
            "utf8_bytes": sizes,
            **{name: rows.column(name) for name in _RECORD_COLUMNS},
        },
        schema=_STORED_INDEX,
    )
    splits = splits_of(hashes, test, validation)
    for place, split in enumerate(SPLITS):
        chosen = np.flatnonzero(splits == place)
        if len(chosen):
            tokens = np.concatenate([part for number in chosen.tolist() for part in (encoded[number], end)])
            yield EncodedSplit(split, tokens, index.take(pa.array(chosen)))


def spill_block(folder: Folder, part: int, block: int, encoded: EncodedSplit) -> EncodedBlock:
    """Write tokens (little-endian) and index rows into a temporary folder, under a name of their own."""
    name = f"{encoded.split}-{part:05d}-{block:05d}-{uuid.uuid4().hex}"
    with folder.open_write(f"{name}.tokens", durable=False) as stream:
        stream.write(np.ascontiguousarray(encoded.tokens, dtype=encoded.tokens.dtype.newbyteorder("<")).data)
    with (
        folder.open_write(f"{name}.index", durable=False) as stream,
        pa.ipc.new_stream(stream, _STORED_INDEX) as writer,
    ):
        writer.write_table(encoded.index)
    identities = encoded.index.column("document_id")
    first, last = identities[0].as_py(), identities[-1].as_py()
    url = f"{folder.url}/{name}"
    return EncodedBlock(part, block, url, encoded.index.num_rows, len(encoded.tokens), first, last)


def read_index(block: EncodedBlock) -> pa.Table:
    """The index rows of a block, without their start."""
    folder, _, name = block.url.rpartition("/")
    with Folder(folder).open_read(f"{name}.index") as stream:
        return pa.ipc.open_stream(stream).read_all()
