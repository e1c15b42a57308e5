"""Hashes of rows and tables: what the corpus digest is made of.

A row's hash is BLAKE2b-256 over each column's name and value, columns sorted by name, without those of
`DIGEST_EXCLUDED_COLUMNS`; a null differs from every value, a map is hashed in key order, a float by its bits. A
table's digest is BLAKE2b-256 over the sorted row hashes: rows may lie in any order and in any files.
"""

from __future__ import annotations

import datetime
import hashlib
import struct
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

from schemas.identity import length_prefixed
from schemas.tables import DIGEST_EXCLUDED_COLUMNS

__all__ = ["digest_of_hashes", "row_hashes", "table_digest"]

Encoder = Callable[[Any], bytes]
_LENGTH = struct.Struct(">Q").pack  # what `length_prefixed` puts before a part
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _of_map(kind: pa.DataType) -> Encoder:
    key, item = _encoder(kind.key_type), _encoder(kind.item_type)

    def encode(value: Any) -> bytes:
        return b"m" + length_prefixed(*(length_prefixed(k, v) for k, v in sorted((key(k), item(v)) for k, v in value)))

    return encode


def _of_list(kind: pa.DataType) -> Encoder:
    item = _encoder(kind.value_type)
    return lambda value: b"l" + length_prefixed(*map(item, value))


def _of_value(kind: pa.DataType) -> Encoder:
    """The encoder of values that are not null."""
    if pa.types.is_map(kind):
        return _of_map(kind)
    if pa.types.is_list(kind):
        return _of_list(kind)
    if pa.types.is_string(kind):
        return lambda value: b"s" + value.encode("utf-8")
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return lambda value: b"b" + value
    if pa.types.is_float32(kind):
        return lambda value: b"f" + struct.pack(">f", value)
    if pa.types.is_float64(kind):
        return lambda value: b"d" + struct.pack(">d", value)
    if pa.types.is_timestamp(kind):
        return lambda value: b"t%d" % ((value - _EPOCH) // datetime.timedelta(microseconds=1))
    if pa.types.is_integer(kind):
        return lambda value: b"i%d" % value
    raise TypeError(f"no row hash for values of type {kind}")


def _encoder(kind: pa.DataType) -> Encoder:
    """What makes bytes of a value of this type; chosen once a column, which halves the time of a digest."""
    encode = _of_value(kind)
    return lambda value: b"n" if value is None else encode(value)


def row_hashes(table: pa.Table | pa.RecordBatch) -> list[bytes]:
    """The hash of each row of `table`, in its order; 32 bytes each."""
    names = sorted(name for name in table.schema.names if name not in DIGEST_EXCLUDED_COLUMNS)
    columns = []
    for name in names:
        label, encode = length_prefixed(name.encode("utf-8")), _encoder(table.schema.field(name).type)
        cells = map(encode, table.column(name).to_pylist())
        columns.append([label + _LENGTH(len(cell)) + cell for cell in cells])
    return [hashlib.blake2b(b"".join(cells), digest_size=32).digest() for cells in zip(*columns, strict=True)]


def digest_of_hashes(hashes: Iterable[bytes]) -> str:
    """BLAKE2b-256 over the sorted hashes, in hexadecimal."""
    state = hashlib.blake2b(digest_size=32)
    for one in sorted(hashes):
        state.update(one)
    return state.hexdigest()


def table_digest(table: pa.Table) -> str:
    """Digest of a table as a bag of rows."""
    return digest_of_hashes(row_hashes(table))
