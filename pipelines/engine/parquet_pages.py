"""Single values of a column of a Parquet file, without decoding all others of their row group.

Arrow's reader decodes whole row groups. Of one text in every 200 that costs as much as of all; here only the pages that
hold them are decompressed. Read is what `stage_parquet` writes of long values: no nulls, plain encoding, version 1
pages, zstd. Of any other column nothing is read, and the caller does it with Arrow.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.engine.page_kernel import page_places

__all__ = ["values_in_pages"]

_LENGTH_BYTES = 4  # before each value, lowest first


def _values(content: bytes, wanted: list[int]) -> Iterator[bytes]:
    """The values of these numbers, ascending, of a page."""
    end = number = 0
    for one in wanted:
        while number <= one:
            start = end + _LENGTH_BYTES
            end = start + int.from_bytes(content[end:start], "little")
            number += 1
        yield content[start:end]


def _chunk(parquet: pq.ParquetFile, stream: pa.NativeFile, group: int, column: str) -> memoryview | None:
    """The bytes of a column in a row group; None where it is written in another way than is read here."""
    metadata = parquet.metadata.row_group(group)
    number = parquet.schema_arrow.get_field_index(column)
    # Fields before it that are made of several columns would shift its number.
    if number < 0 or parquet.schema.column(number).path != column:
        return None
    kind, found = parquet.schema.column(number), metadata.column(number)
    plain = found.physical_type == "BYTE_ARRAY" and found.compression == "ZSTD" and not found.has_dictionary_page
    if not plain or kind.max_definition_level or kind.max_repetition_level or found.num_values != metadata.num_rows:
        return None
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
    chunk = _chunk(parquet, stream, group, column)
    if chunk is None:
        return None
    pages = page_places(np.frombuffer(chunk, dtype=np.uint8), parquet.metadata.row_group(group).num_rows)
    if not len(pages):
        return None
    codec = pa.Codec("zstd")
    found: list[bytes] = []
    numbers = np.searchsorted(pages[:, 0], rows, side="right") - 1
    for number in np.unique(numbers):
        first, _, start, compressed, size = pages[number].tolist()
        content = codec.decompress(chunk[start : start + compressed], decompressed_size=size, asbytes=True)
        found += _values(content, (rows[numbers == number] - first).tolist())
    return found
