"""Random samples of rows that depend on nothing but the rows: those of the lowest draws from their identities."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.funnel_report.row_groups import Place, RowGroup
from pipelines.dedup.mixing import mix64

__all__ = ["Sampled", "Sampler"]


class Sampled(NamedTuple):
    """A sampled row; `value` is what the rule measured of it, where it measures."""

    draw: int
    url: str
    place: Place
    value: float | None


class Sampler:
    """Keeps the `size` rows of the lowest draws; of rows with one text the one of the least URL."""

    def __init__(self, size: int, purpose: str) -> None:
        self._size = size
        digest = hashlib.blake2b(purpose.encode(), digest_size=8).digest()
        self._salt = np.uint64(int.from_bytes(digest, "big"))
        self._kept: dict[int, Sampled] = {}

    def add(self, group: RowGroup, rows: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Offer rows of a row group with their values, NaN where there is none."""
        draws = mix64(group.identities[rows] ^ self._salt)
        distinct = np.unique(draws)[: self._size]
        if not len(distinct) or (len(self._kept) == self._size and int(distinct[0]) > max(self._kept)):
            return
        urls = group.rows.column("url")
        for index in np.flatnonzero(draws <= distinct[-1]).tolist():
            row = int(rows[index])
            value = None if np.isnan(values[index]) else float(values[index])
            one = Sampled(int(draws[index]), urls[row].as_py() or "", group.place_of(row), value)
            self._kept[one.draw] = min(one, self._kept.get(one.draw, one))
        self._kept = {draw: self._kept[draw] for draw in sorted(self._kept)[: self._size]}

    def rows(self) -> list[Sampled]:
        """The sample, lowest draw first."""
        return list(self._kept.values())
