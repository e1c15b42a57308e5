r"""What the quality rules measure of a text; each part of it is computed at most once.

Words are maximal runs of `\w` with apostrophes and hyphens inside ("don't", "well-known"); white space and
punctuation alone are no words. Lines are lines with a character in them; paragraphs are separated by blank lines.
"""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["TextMeasures", "share"]

_WORD = re.compile(r"\w+(?:['’\-]\w+)*")
_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")
# An odd multiplier is a bijection of 64-bit integers (Knuth, "The Art of Computer Programming", volume 3, section 6.4).
_MIX = np.uint64(0x9E3779B97F4A7C15)


def share(part: float, whole: float) -> float:
    """`part / whole`; 0 where the whole is empty."""
    return part / whole if whole else 0.0


class TextMeasures:
    """A text and what is counted in it."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> list[str]:
        """The words, in order."""
        return _WORD.findall(self.text)

    @cached_property
    def word_lengths(self) -> NDArray[np.int64]:
        """Characters of each word."""
        return np.fromiter(map(len, self.words), dtype=np.int64, count=len(self.words))

    @cached_property
    def lines(self) -> list[str]:
        """Lines with a character in them, without white space around."""
        return [line.strip() for line in self.text.split("\n") if line.strip()]

    @cached_property
    def paragraphs(self) -> list[str]:
        """Paragraphs, without white space around."""
        return [part.strip() for part in _PARAGRAPH_BREAK.split(self.text) if part.strip()]

    @cached_property
    def _word_numbers(self) -> NDArray[np.uint64]:
        """A number for each word, equal for equal words."""
        numbers: dict[str, int] = {}
        values = (numbers.setdefault(word, len(numbers) + 1) for word in self.words)
        return np.fromiter(values, dtype=np.uint64, count=len(self.words))

    def _ngrams(self, n: int) -> NDArray[np.uint64]:
        """A 64-bit number for each word n-gram, equal for equal n-grams; empty for texts of fewer words."""
        words = self._word_numbers
        if len(words) < n:
            return np.empty(0, dtype=np.uint64)
        keys = np.zeros(len(words) - n + 1, dtype=np.uint64)
        for offset in range(n):
            keys = (keys ^ words[offset : offset + len(keys)]) * _MIX
            keys ^= keys >> np.uint64(29)
        return keys

    def _ngram_lengths(self, n: int) -> NDArray[np.int64]:
        """Characters of each n-gram, one space between its words."""
        sums = np.concatenate(([0], np.cumsum(self.word_lengths)))
        lengths: NDArray[np.int64] = sums[n:] - sums[:-n] + (n - 1)
        return lengths

    def top_ngram_characters(self, n: int) -> float:
        """Share of the characters that lie in the most frequent n-gram; 0 where none comes twice."""
        keys = self._ngrams(n)
        if not len(keys):
            return 0.0
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        most = int(counts.max())
        if most < 2:
            return 0.0
        longest = int(self._ngram_lengths(n)[first[counts == most]].max())
        return min(1.0, share(most * longest, len(self.text)))

    def duplicate_ngram_characters(self, n: int) -> float:
        """Share of the words' characters that lie in a second or later occurrence of an n-gram, each counted once."""
        keys = self._ngrams(n)
        if not len(keys):
            return 0.0
        _, first = np.unique(keys, return_index=True)
        later = np.ones(len(keys), dtype=bool)
        later[first] = False
        edges = np.zeros(len(self.words) + 1, dtype=np.int64)
        starts = np.flatnonzero(later)
        np.add.at(edges, starts, 1)
        np.add.at(edges, starts + n, -1)
        covered = np.cumsum(edges[:-1]) > 0
        return share(float(self.word_lengths[covered].sum()), float(self.word_lengths.sum()))

    @staticmethod
    def duplicates(parts: list[str]) -> tuple[int, int]:
        """How many of `parts` are a second or later copy, and their characters together."""
        seen: set[str] = set()
        count = characters = 0
        for part in parts:
            if part in seen:
                count += 1
                characters += len(part)
            seen.add(part)
        return count, characters
