"""Single values of a column of a Parquet file, without decoding all others of their row group.

Arrow's reader decodes whole row groups. Of one text in every 200 that costs as much as of all; here only the pages that
hold them are decompressed. Read is what `stage_parquet` writes of long values: no nulls, plain encoding, version 1
pages, zstd. Of any other column nothing is read, and the caller does it with Arrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

__all__ = ["values_in_pages"]

# PageHeader of parquet.thrift in Thrift's compact protocol: a data page; its bytes, and compressed; then
# DataPageHeader: values, plain encoding, levels in RLE, no statistics. Numbers are zigzag varints.
_NUMBER = rb"([\x80-\xff]*[\x00-\x7f])"
_HEADER = re.compile(
    rb"\x15\x00\x15"
    + _NUMBER
    + rb"\x15"
    + _NUMBER
    + rb"\x2c\x15"
    + _NUMBER
    + rb"\x15\x00\x15\x06\x15\x06\x1c\x00\x00\x00"
)
_LENGTH_BYTES = 4  # before each value, lowest first


class _OtherKindError(Exception):
    """A column or a page is written in another way than is read here."""


class _Page(NamedTuple):
    first: int  # number of its first row in the row group
    rows: int
    start: int  # of its compressed bytes
    compressed: int
    size: int


def _count(written: bytes) -> int:
    """A zigzag varint that is no negative number."""
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(written)) >> 1


def _pages(chunk: memoryview, rows: int) -> Iterator[_Page]:
    """The pages of a column's bytes."""
    place = first = 0
    while first < rows:
        header = _HEADER.match(chunk, place)
        if header is None:
            raise _OtherKindError
        size, compressed, values = map(_count, header.groups())
        yield _Page(first, values, header.end(), compressed, size)
        first += values
        place = header.end() + compressed


def _values(content: bytes, wanted: list[int]) -> Iterator[bytes]:
    """The values of these numbers, ascending, of a page."""
    end = number = 0
    for one in wanted:
        while number <= one:
            start = end + _LENGTH_BYTES
            end = start + int.from_bytes(content[end:start], "little")
            number += 1
        yield content[start:end]


def _chunk(parquet: pq.ParquetFile, stream: pa.NativeFile, group: int, column: str) -> memoryview:
    """The bytes of a column in a row group."""
    metadata = parquet.metadata.row_group(group)
    number = parquet.schema_arrow.get_field_index(column)
    # Fields before it that are made of several columns would shift its number.
    if number < 0 or parquet.schema.column(number).path != column:
        raise _OtherKindError
    kind, found = parquet.schema.column(number), metadata.column(number)
    plain = found.physical_type == "BYTE_ARRAY" and found.compression == "ZSTD" and not found.has_dictionary_page
    if not plain or kind.max_definition_level or kind.max_repetition_level or found.num_values != metadata.num_rows:
        raise _OtherKindError
    stream.seek(found.data_page_offset)
    return memoryview(stream.read_buffer(found.total_compressed_size))  # of a mapped file no copy


def values_in_pages(
    parquet: pq.ParquetFile, stream: pa.NativeFile, group: int, column: str, rows: NDArray[np.int64]
) -> list[bytes] | None:
    """Some values of a column of strings or bytes.

    Args:
        parquet: a file.
        stream: what it is read from.
        group: number of the row group.
        column: name of the column; no field before it in the schema is nested.
        rows: numbers of rows in the group, ascending and distinct.

    Returns:
        The values as bytes; None where the column is written in another way than is read here.
    """
    codec, wanted, asked = pa.Codec("zstd"), rows.tolist(), 0
    found: list[bytes] = []
    try:
        chunk = _chunk(parquet, stream, group, column)
        for page in _pages(chunk, parquet.metadata.row_group(group).num_rows):
            inside = []
            while asked < len(wanted) and wanted[asked] < page.first + page.rows:
                inside.append(wanted[asked] - page.first)
                asked += 1
            if inside:
                compressed = chunk[page.start : page.start + page.compressed]
                content = codec.decompress(compressed, decompressed_size=page.size, asbytes=True)
                found += _values(content, inside)
            if asked == len(wanted):
                break
    except _OtherKindError:
        return None
    return found
