"""Distributions of measured values: exact counts in at most forty bins, with an edge at the threshold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Histogram", "Range", "Side", "bin_edges", "is_logarithmic"]

Side = Literal["at_least", "at_most", "above", "below"]

_BINS = 40
# A longer axis is drawn in logarithms: words and characters of a text, and lengths with outliers. One that is short far
# from 0 is not: the logarithms of 2e14 and 2e14 + 1 are equal.
_LONG_AXIS = 100.0


@dataclass
class Range:
    """What a first pass finds out about values."""

    count: int = 0
    low: float = np.inf
    high: float = -np.inf
    whole: bool = True  # all are whole numbers

    def add(self, values: NDArray[np.float32]) -> None:
        """Take values into account; all are finite."""
        if len(values):
            self.count += len(values)
            self.low = min(self.low, float(values.min()))
            self.high = max(self.high, float(values.max()))
            self.whole = self.whole and bool((values == np.floor(values)).all())


def _edge_of(threshold: float, side: Side) -> float:
    """The edge that parts what passes from what fails: a bin holds its lower edge and not its upper one."""
    exact = np.float32(threshold)
    return float(exact if side in {"at_least", "below"} else np.nextafter(exact, np.float32(np.inf)))


def is_logarithmic(edges: NDArray[np.float64]) -> bool:
    """Whether the axis of these bins is drawn in logarithms (of 1 more, so that 0 has a place)."""
    return bool(edges[0] >= 0 and edges[-1] - edges[0] > _LONG_AXIS)


def bin_edges(values: Range, thresholds: Iterable[tuple[float, Side]]) -> NDArray[np.float64]:
    """Edges of bins over the values and the thresholds, each threshold being one; all values lie in a bin."""
    parts = sorted({_edge_of(threshold, side) for threshold, side in thresholds})
    low, high = min([values.low, *parts]), max([values.high, *parts])
    if values.whole and high - low < _BINS and abs(high) < 2.0**52:
        return np.unique(np.concatenate([np.arange(np.floor(low), np.floor(high) + 2.0), np.ceil(parts)]))
    top = float(np.nextafter(np.float32(high), np.float32(np.inf)))
    if is_logarithmic(np.array([low, top])):
        edges = np.expm1(np.linspace(np.log1p(low), np.log1p(top), _BINS + 1))
    else:
        edges = np.linspace(low, top, _BINS + 1)
    edges[0], edges[-1] = low, top
    for part in parts:  # move the nearest inner edge there, or add one
        nearest = 1 + int(np.abs(edges[1:-1] - part).argmin())
        if low < part < top:
            edges[nearest] = part
    return np.unique(np.concatenate([edges, parts]))


@dataclass
class Histogram:
    """Counts by bin, of rows that became documents and of rows that were dropped by any rule."""

    edges: NDArray[np.float64]
    kept: NDArray[np.int64] = field(init=False)
    dropped: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.kept = np.zeros(len(self.edges) - 1, dtype=np.int64)
        self.dropped = np.zeros(len(self.edges) - 1, dtype=np.int64)

    def add(self, values: NDArray[np.float32], *, kept: bool) -> None:
        """Count values."""
        places = np.searchsorted(self.edges, values.astype(np.float64), side="right") - 1
        counts = self.kept if kept else self.dropped
        counts += np.bincount(np.minimum(places, len(counts) - 1), minlength=len(counts))

    @property
    def total(self) -> int:
        """All values counted."""
        return int(self.kept.sum() + self.dropped.sum())
