"""What the footer of a Parquet file says of its column chunks, read without Arrow.

pyarrow 25 ends the whole process where a chunk's metadata is damaged: `RowGroupMetaData.column` hands no error of the
C++ library on. Reading rows through Arrow is safe, since that reports it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, Any

from pipelines.sources.thrift import PageHeaderError, Struct, number_at

__all__ = ["ColumnChunk", "RowGroup", "read_footer"]

_MAGIC = b"PAR1"
_TAIL_BYTES = 8  # length of the footer and magic
# Ids of fields (Parquet format, `parquet.thrift`).
_GROUPS, _CHUNKS, _NUM_ROWS, _METADATA = 4, 1, 3, 3
_PATH, _VALUES, _PLAIN, _PACKED, _DATA, _DICTIONARY = 3, 5, 6, 7, 9, 11


@dataclass(frozen=True)
class ColumnChunk:
    """One column of a row group; names are those of pyarrow."""

    column: str  # of the table: the first part of the path
    num_values: int
    total_uncompressed_size: int
    total_compressed_size: int
    data_page_offset: int
    dictionary_page_offset: int


@dataclass(frozen=True)
class RowGroup:
    """One row group."""

    num_rows: int
    chunks: tuple[ColumnChunk, ...]


def _chunk(fields: Any) -> ColumnChunk:
    about = fields[_METADATA]
    values, plain, packed, data = (number_at(about, one) for one in (_VALUES, _PLAIN, _PACKED, _DATA))
    dictionary = max(0, number_at(about, _DICTIONARY))
    return ColumnChunk(about[_PATH][0].decode("utf-8"), values, plain, packed, data, dictionary)


def _group(fields: Any) -> RowGroup:
    group = RowGroup(number_at(fields, _NUM_ROWS), tuple(map(_chunk, fields[_CHUNKS])))
    for chunk in group.chunks:
        if min(chunk.total_uncompressed_size, chunk.total_compressed_size, chunk.data_page_offset) < 0:
            raise PageHeaderError("a column chunk without place or size")
        # Each row has a value in each column, and rows with lists have more.
        if chunk.num_values < group.num_rows:
            raise PageHeaderError(f"a row group of {group.num_rows} rows has {chunk.num_values} values in a column")
    if group.num_rows < 0:
        raise PageHeaderError(f"a row group of {group.num_rows} rows")
    return group


def read_footer(stream: IO[bytes]) -> list[RowGroup]:
    """The row groups of a Parquet file.

    Raises:
        PageHeaderError: its footer is damaged.
    """
    size = stream.seek(0, 2)
    stream.seek(max(0, size - _TAIL_BYTES))
    tail = stream.read(_TAIL_BYTES)
    if len(tail) < _TAIL_BYTES or tail[4:] != _MAGIC:
        raise PageHeaderError("the file does not end as a Parquet file does")
    (length,) = struct.unpack("<I", tail[:4])
    stream.seek(max(0, size - _TAIL_BYTES - length))
    try:
        return list(map(_group, Struct(stream.read(length)).fields()[_GROUPS]))
    except (LookupError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise PageHeaderError("the footer is damaged") from error
