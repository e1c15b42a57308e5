"""How large the pages of a Parquet column are, read from their headers alone.

Arrow decompresses a page as a whole, and neither the footer nor Arrow says how large one is: a page of a gigabyte would
be in memory before anybody could refuse it. Headers are Thrift structs (Parquet format, "Data Pages").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any

from pipelines.sources.thrift import PageHeaderError, Struct, number_at

__all__ = ["dictionary_bytes", "largest_page"]

_HEADER_BYTES = 2**14  # a header holds the least and the greatest value of its page, cut off by most writers
_MOST_HEADER_BYTES = 2**24
_TYPE, _UNCOMPRESSED, _COMPRESSED = 1, 2, 3  # ids of the fields of a page header
_DICTIONARY_PAGE = 2


@dataclass(frozen=True)
class _Page:
    """What a page header says, and where the page behind it ends."""

    kind: int
    plain_bytes: int
    end: int


def _page_at(stream: IO[bytes], place: int) -> _Page:
    size = _HEADER_BYTES
    while True:
        stream.seek(place)
        data = stream.read(size)
        struct = Struct(data)
        try:
            numbers = struct.fields()
            break
        except IndexError:
            if len(data) < size or size >= _MOST_HEADER_BYTES:
                raise PageHeaderError(f"no page header at byte {place}") from None
            size *= 8
    plain, packed = number_at(numbers, _UNCOMPRESSED), number_at(numbers, _COMPRESSED)
    if plain < 0 or packed < 0:
        raise PageHeaderError(f"a page without a size at byte {place}")
    return _Page(number_at(numbers, _TYPE), plain, place + struct.place + packed)


def _start(chunk: Any) -> int:
    # Some writers give the place of the dictionary as that of the first page of data.
    return min((one for one in (chunk.dictionary_page_offset, chunk.data_page_offset) if one), default=0)


def dictionary_bytes(stream: IO[bytes], chunk: Any) -> int:
    """Bytes of the dictionary of a column chunk, decompressed, so that no value from it is longer; 0 without one.

    Raises:
        PageHeaderError: there is no page.
    """
    first = _page_at(stream, _start(chunk))
    return first.plain_bytes if first.kind == _DICTIONARY_PAGE else 0


def largest_page(stream: IO[bytes], chunk: Any) -> int:
    """Bytes of the largest page of a column chunk, decompressed.

    Args:
        stream: the file.
        chunk: `pipelines.sources.parquet_footer.ColumnChunk`, or pyarrow's own.

    Raises:
        PageHeaderError: the pages cannot be followed.
    """
    place, largest = _start(chunk), 0
    end = place + chunk.total_compressed_size
    while place < end:
        page = _page_at(stream, place)
        largest = max(largest, page.plain_bytes)
        place = page.end
    return largest
