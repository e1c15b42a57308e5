"""How large the pages of a Parquet column are, read from their headers alone.

Arrow decompresses a page as a whole, and neither the footer nor Arrow says how large one is: a page of a gigabyte would
be in memory before anybody could refuse it. Headers are Thrift structs in the compact protocol (Parquet format,
"Data Pages"; Thrift, "Thrift Compact protocol").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any

from schemas.errors import CorpusmillError

__all__ = ["PageHeaderError", "dictionary_bytes", "largest_page"]

_HEADER_BYTES = 2**14  # a header holds the least and the greatest value of its page, cut off by most writers
_MOST_HEADER_BYTES = 2**24
_DEEPEST = 16
_TYPE, _UNCOMPRESSED, _COMPRESSED = 1, 2, 3  # ids of the fields of a page header
_DICTIONARY_PAGE = 2
_BOOLEANS, _BYTE, _VARINTS, _DOUBLE, _BINARY, _LISTS, _MAP, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 11, 12


class PageHeaderError(CorpusmillError):
    """What stands where a page should begin is no header of one."""


class _Struct:
    """A Thrift struct at the beginning of some bytes; IndexError where they are too few."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def _byte(self) -> int:
        value = self._data[self.place]
        self.place += 1
        return value

    def _varint(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
        raise PageHeaderError("a number without end")

    def _pass(self, count: int) -> None:
        self.place += count
        if self.place > len(self._data):
            raise IndexError

    def _skip(self, kind: int, depth: int) -> None:
        if depth > _DEEPEST:
            raise PageHeaderError("structs lie too deep")
        if kind == _BYTE:
            self._pass(1)
        elif kind in _VARINTS:
            self._varint()
        elif kind == _DOUBLE:
            self._pass(8)
        elif kind == _BINARY:
            self._pass(self._varint())
        elif kind in _LISTS:
            head = self._byte()
            for _ in range(self._varint() if head >> 4 == 15 else head >> 4):
                self._element(head & 15, depth)
        elif kind == _STRUCT:
            self.fields(depth + 1)
        elif kind not in _BOOLEANS:
            raise PageHeaderError(f"a field of type {kind}")

    def _element(self, kind: int, depth: int) -> None:
        if kind in _BOOLEANS:  # those of a list take a byte each
            self._pass(1)
        else:
            self._skip(kind, depth + 1)

    def fields(self, depth: int = 0) -> dict[int, int]:
        """The numbers among its fields, by id; `place` is behind the struct then."""
        numbers: dict[int, int] = {}
        identity = 0
        while head := self._byte():
            kind = head & 15
            if head >> 4:
                identity += head >> 4
            else:
                coded = self._varint()
                identity = (coded >> 1) ^ -(coded & 1)
            if kind in _VARINTS:
                coded = self._varint()
                numbers[identity] = (coded >> 1) ^ -(coded & 1)
            else:
                self._skip(kind, depth)
        return numbers


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
        struct = _Struct(data)
        try:
            numbers = struct.fields()
            break
        except IndexError:
            if len(data) < size or size >= _MOST_HEADER_BYTES:
                raise PageHeaderError(f"no page header at byte {place}") from None
            size *= 8
    plain, packed = numbers.get(_UNCOMPRESSED, -1), numbers.get(_COMPRESSED, -1)
    if plain < 0 or packed < 0:
        raise PageHeaderError(f"a page without a size at byte {place}")
    return _Page(numbers.get(_TYPE, -1), plain, place + struct.place + packed)


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
        chunk: `pyarrow.parquet.ColumnChunkMetaData`.

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
