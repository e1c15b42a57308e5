"""Which word n-grams of a text come more than once, exactly, for all n in one go.

An n-gram can only repeat where the two (n-1)-grams in it repeat, so each n looks at what the one before left: in an
ordinary text half of the words, a tenth of the pairs, and nearly nothing from n = 4 on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Repeated", "RepeatedNgrams"]


@dataclass(frozen=True)
class Repeated:
    """The n-grams that come more than once.

    Attributes:
        starts: their first words, in order.
        groups: a number for each, equal for equal n-grams and below `len(counts)`.
        counts: how often each group comes.
    """

    starts: NDArray[np.int64]
    groups: NDArray[np.int64]
    counts: NDArray[np.int64]


def _repeated(starts: NDArray[np.int64], keys: NDArray[np.int64]) -> Repeated:
    _, groups, counts = np.unique(keys, return_inverse=True, return_counts=True)
    again = counts[groups] > 1
    numbers = np.cumsum(counts > 1) - 1
    return Repeated(starts[again], numbers[groups[again]], counts[counts > 1])


class RepeatedNgrams:
    """Computed upwards from single words, each n when it is asked for."""

    def __init__(self, words: NDArray[np.int64]) -> None:
        """Take a number for each word, equal for equal words."""
        self._words = len(words)
        self._levels = [_repeated(np.arange(len(words)), words)]

    def of(self, n: int) -> Repeated:
        """The repeated n-grams, n at least 1."""
        while len(self._levels) < n:
            self._levels.append(self._next())
        return self._levels[n - 1]

    def _next(self) -> Repeated:
        """From n-grams to (n+1)-grams: two that overlap in all but one word are one that is longer."""
        last = self._levels[-1]
        group_at = np.full(self._words + 1, -1, dtype=np.int64)
        group_at[last.starts] = last.groups
        starts = last.starts[group_at[last.starts + 1] >= 0]
        return _repeated(starts, group_at[starts] * (len(last.counts) + 1) + group_at[starts + 1])
