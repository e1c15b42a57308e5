"""Thrift structs in the compact protocol, as Parquet's footers and page headers are (Thrift, "Compact protocol")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.errors import CorpusmillError

__all__ = ["PageHeaderError", "Struct", "number_at"]

_DEEPEST = 16
_BOOLEANS, _BYTE, _VARINTS, _DOUBLE, _BINARY, _LISTS, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 12


class PageHeaderError(CorpusmillError):
    """What stands where a footer or a page should begin is none."""


def number_at(fields: Mapping[int, Any], identity: int) -> int:
    """A field that is a number; -1 where it is missing or something else."""
    value = fields.get(identity)
    return value if isinstance(value, int) else -1


class Struct:
    """A struct at the beginning of some bytes; IndexError where they are too few."""

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

    def _number(self) -> int:
        coded = self._varint()
        return (coded >> 1) ^ -(coded & 1)

    def _take(self, count: int) -> bytes:
        start, self.place = self.place, self.place + count
        if self.place > len(self._data):
            raise IndexError
        return self._data[start : self.place]

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise PageHeaderError("structs lie too deep")
        if kind in _VARINTS:
            return self._number()
        if kind == _BINARY:
            return self._take(self._varint())
        if kind == _STRUCT:
            return self.fields(depth + 1)
        if kind in _LISTS:
            head = self._byte()
            count = self._varint() if head >> 4 == 15 else head >> 4
            return [self._element(head & 15, depth) for _ in range(count)]
        if kind in {_BYTE, _DOUBLE}:
            return self._take(1 if kind == _BYTE else 8)
        if kind not in _BOOLEANS:
            raise PageHeaderError(f"a field of type {kind}")
        return None

    def _element(self, kind: int, depth: int) -> Any:
        # Booleans in a list take a byte each.
        return self._take(1) if kind in _BOOLEANS else self._value(kind, depth + 1)

    def fields(self, depth: int = 0) -> dict[int, Any]:
        """Its fields by id: numbers, bytes, lists and structs; `place` is behind the struct then."""
        found: dict[int, Any] = {}
        identity = 0
        while head := self._byte():
            identity = identity + (head >> 4) if head >> 4 else self._number()
            found[identity] = self._value(head & 15, depth)
        return found
