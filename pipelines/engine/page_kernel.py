"""Where the data pages of a column chunk lie, compiled (see `pipelines/engine/compiled.py`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.engine.compiled import compiled, inlined

__all__ = ["PAGE_COLUMNS", "page_places"]

PAGE_COLUMNS = 5  # number of its first row, rows, first byte, bytes as they lie there, bytes decompressed

# PageHeader of parquet.thrift in Thrift's compact protocol: a data page; its bytes, and compressed; then
# DataPageHeader: values, plain encoding, levels in RLE, no statistics. Numbers are zigzag varints.
_BEFORE_SIZE = np.array([0x15, 0x00, 0x15], dtype=np.uint8)
_BEFORE_COMPRESSED = np.array([0x15], dtype=np.uint8)
_BEFORE_VALUES = np.array([0x2C, 0x15], dtype=np.uint8)
_END = np.array([0x15, 0x00, 0x15, 0x06, 0x15, 0x06, 0x1C, 0x00, 0x00, 0x00], dtype=np.uint8)
_NO = -1


@inlined
def _after(chunk: NDArray[np.uint8], place: int, expected: NDArray[np.uint8]) -> int:
    """The place behind the expected bytes; -1 where there are others."""
    if place < 0 or place + len(expected) > len(chunk):
        return _NO
    for number in range(len(expected)):
        if chunk[place + number] != expected[number]:
            return _NO
    return place + len(expected)


@inlined
def _number(chunk: NDArray[np.uint8], place: int) -> tuple[np.signedinteger[Any], int]:
    """A zigzag varint that is no negative number, and the place behind it; -1 where there is none."""
    if place < 0:
        return np.int64(0), _NO
    value = np.int64(0)
    shift = 0
    while place < len(chunk) and shift < 63:
        byte = np.int64(chunk[place])
        value |= (byte & np.int64(0x7F)) << np.int64(shift)
        place += 1
        shift += 7
        if byte < 0x80:
            return value >> np.int64(1), place
    return np.int64(0), _NO


@compiled
def page_places(chunk: NDArray[np.uint8], rows: int) -> NDArray[np.int64]:
    """The pages of a column chunk of so many rows; shape (pages, `PAGE_COLUMNS`).

    No page at all where one is written in another way than is read here, or where they do not hold as many rows.
    """
    found = np.empty((64, PAGE_COLUMNS), dtype=np.int64)
    count = place = 0
    first = np.int64(0)
    while first < rows:
        size, place = _number(chunk, _after(chunk, place, _BEFORE_SIZE))
        compressed, place = _number(chunk, _after(chunk, place, _BEFORE_COMPRESSED))
        values, place = _number(chunk, _after(chunk, place, _BEFORE_VALUES))
        place = _after(chunk, place, _END)
        if place < 0 or place + compressed > len(chunk):
            return found[:0]
        if count == len(found):
            grown = np.empty((2 * count, PAGE_COLUMNS), dtype=np.int64)
            grown[:count] = found
            found = grown
        found[count, 0], found[count, 1], found[count, 2] = first, values, place
        found[count, 3], found[count, 4] = compressed, size
        count += 1
        first += values
        place += int(compressed)
    return found[:count]
