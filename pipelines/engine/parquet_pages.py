"""Single values of a column of a Parquet file, without decoding all others of their row group.

Arrow's reader decodes whole row groups. Of a text in every 200 that costs as much as of all; here only the pages that
hold them are decompressed. Headers of pages are structs in Thrift's compact protocol, as `PageHeader` in
parquet.thrift of the format's specification. Read is what `stage_parquet` writes of long values: no nulls, plain
encoding, version 1 pages, zstd. Of any other column nothing is read, and the caller does it with Arrow.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

__all__ = ["values_in_pages"]

# Of parquet.thrift: fields of PageHeader and of DataPageHeader, and the enumeration values that are read.
_TYPE, _BYTES, _COMPRESSED_BYTES, _DATA_PAGE = 1, 2, 3, 5
_VALUES, _ENCODING = 1, 2
_DATA_PAGE_TYPE, _PLAIN = 0, 0
# Of the compact protocol: types of fields.
_STOP, _TRUE, _FALSE, _BYTE, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 0, 1, 2, 3, 6, 7, 8, 9, 10, 12
_LENGTH_BYTES = 4  # before each value, lowest first


class _Unknown(Exception):
    """A page is of another kind than those that are read here."""


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def _value(data: memoryview, place: int, kind: int) -> tuple[Any, int]:
    """A value of the compact protocol and the place after it; of bytes and lists only where they end."""
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, place
    if kind == _BYTE:
        return data[place], place + 1
    if _BYTE < kind <= _I64:
        value, place = _varint(data, place)
        return (value >> 1) ^ -(value & 1), place
    if kind == _DOUBLE:
        return None, place + 8
    if kind == _BINARY:
        size, place = _varint(data, place)
        return None, place + size
    if kind in (_LIST, _SET):
        size, of = data[place] >> 4, data[place] & 0x0F
        place += 1
        if size == 0x0F:
            size, place = _varint(data, place)
        for _ in range(size):
            _, place = _value(data, place, of) if of > _FALSE else (None, place + 1)
        return None, place
    if kind == _STRUCT:
        return _struct(data, place)
    raise _Unknown


def _struct(data: memoryview, place: int) -> tuple[dict[int, Any], int]:
    """The fields of a struct by number, and the place after it."""
    fields: dict[int, Any] = {}
    number = 0
    while data[place] != _STOP:
        step, kind = data[place] >> 4, data[place] & 0x0F
        place += 1
        if step:
            number += step
        else:
            value, place = _varint(data, place)
            number = (value >> 1) ^ -(value & 1)
        fields[number], place = _value(data, place, kind)
    return fields, place + 1


class _Page(NamedTuple):
    first: int  # number of its first row in the row group
    rows: int
    start: int  # of its compressed bytes
    compressed: int
    size: int


def _pages(chunk: memoryview, rows: int) -> Iterator[_Page]:
    """The pages of a column's bytes."""
    place = first = 0
    while first < rows:
        header, place = _struct(chunk, place)
        data = header.get(_DATA_PAGE)
        if header[_TYPE] != _DATA_PAGE_TYPE or data is None or data[_ENCODING] != _PLAIN:
            raise _Unknown
        yield _Page(first, data[_VALUES], place, header[_COMPRESSED_BYTES], header[_BYTES])
        first += data[_VALUES]
        place += header[_COMPRESSED_BYTES]


def _values(content: bytes, wanted: list[int]) -> Iterator[bytes]:
    """The values of these numbers, ascending, of a page."""
    place = number = 0
    for one in wanted:
        while True:
            start = place + _LENGTH_BYTES
            place = start + int.from_bytes(content[place:start], "little")
            number += 1
            if number > one:
                break
        yield content[start:place]


def _bytes_of(stream: IO[bytes], start: int, size: int) -> memoryview:
    """Some bytes of a file: mapped where it is local, so that only pages that are looked at are read."""
    try:
        number = stream.fileno()
    except (OSError, AttributeError):
        stream.seek(start)
        return memoryview(stream.read(size))
    first = start % mmap.ALLOCATIONGRANULARITY
    mapped = mmap.mmap(number, first + size, access=mmap.ACCESS_READ, offset=start - first)
    return memoryview(mapped)[first:]


def _chunk(parquet: pq.ParquetFile, stream: IO[bytes], group: int, column: str) -> memoryview:
    """The bytes of a column in a row group."""
    metadata = parquet.metadata.row_group(group)
    names = [parquet.schema.column(number).path for number in range(len(parquet.schema))]
    number = names.index(column)
    kind, found = parquet.schema.column(number), metadata.column(number)
    plain = found.physical_type == "BYTE_ARRAY" and found.compression == "ZSTD" and not found.has_dictionary_page
    if not plain or kind.max_definition_level or kind.max_repetition_level or found.num_values != metadata.num_rows:
        raise _Unknown
    return _bytes_of(stream, found.data_page_offset, found.total_compressed_size)


def values_in_pages(
    parquet: pq.ParquetFile, stream: IO[bytes], group: int, column: str, rows: NDArray[np.int64]
) -> list[bytes] | None:
    """Some values of a column of strings or bytes.

    Args:
        parquet: a file.
        stream: what it is read from.
        group: number of the row group.
        column: name of the column.
        rows: numbers of rows in the group, ascending and distinct.

    Returns:
        The values as bytes; None where the column is written in another way than is read here.
    """
    codec, found = pa.Codec("zstd"), []
    try:
        chunk = _chunk(parquet, stream, group, column)
        for page in _pages(chunk, parquet.metadata.row_group(group).num_rows):
            first, last = np.searchsorted(rows, [page.first, page.first + page.rows])
            if first == last:
                continue
            compressed = chunk[page.start : page.start + page.compressed]
            content = codec.decompress(compressed, decompressed_size=page.size, asbytes=True)
            found += _values(content, (rows[first:last] - page.first).tolist())
    except _Unknown:
        return None
    return found
