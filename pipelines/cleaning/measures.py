"""What the quality rules measure of a text; each part of it is computed at most once.

What a word is stands in `pipelines.cleaning.words`; white space and punctuation alone are none. Lines are lines with a
character in them; paragraphs are separated by blank lines.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipelines.cleaning.sentences import sentence_ends
from pipelines.cleaning.words import word_pattern

__all__ = ["TextMeasures", "share"]

_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")
# An odd multiplier is a bijection of 64-bit integers (Knuth, "The Art of Computer Programming", volume 3, section 6.4).
_MIX = np.uint64(0x9E3779B97F4A7C15)


def share(part: float, whole: float) -> float:
    """`part / whole`; 0 where the whole is empty."""
    return part / whole if whole else 0.0


class TextMeasures:
    """A text and what is counted in it; `language` says how to tell sentences (ISO 639-1)."""

    def __init__(self, text: str, language: str | None = None) -> None:
        self.text = text
        self.language = language

    @cached_property
    def words(self) -> list[str]:
        """The words, in order."""
        return word_pattern().findall(self.text)

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

    @cached_property
    def sentence_ends(self) -> list[int]:
        """Where sentences end, in code points; see `pipelines.cleaning.sentences`."""
        return sentence_ends(self.text, self.language)

    @property
    def known_sentence_ends(self) -> list[int] | None:
        """The sentence ends if some rule has asked for them."""
        ends: list[int] | None = self.__dict__.get("sentence_ends")
        return ends

    @cached_property
    def sentences(self) -> int:
        """How many sentences there are where the end of a line ends one too, as C4 counts them."""
        ends = set(self.sentence_ends)
        position = 0
        for line in self.text.split("\n"):
            if stripped := line.rstrip():
                ends.add(position + len(stripped))
            position += len(line) + 1
        return len(ends)

    def top_ngram_characters(self, n: int) -> float:
        """Share of the characters that the most frequent n-gram takes, one space between words; the first of several.

        A text in which none comes twice has a most frequent one too (as datatrove and dolma count).
        """
        keys = self._ngrams(n)
        if not len(keys):
            return 0.0
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        most = first[counts == counts.max()].min()
        return share(int(counts.max()) * int(self._ngram_lengths(n)[most]), len(self.text))

    def duplicate_ngram_characters(self, n: int) -> float:
        """Share of the text's characters in later copies of n-grams, as datatrove counts.

        The text is read from left to right, and on from behind each copy that is found.
        """
        keys = self._ngrams(n)
        if not len(keys):
            return 0.0
        _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
        # Only n-grams that come twice somewhere can be met again: a few percent of an ordinary text.
        repeated = np.flatnonzero(counts[group] > 1)
        sums = np.concatenate(([0], np.cumsum(self.word_lengths)))
        seen: set[int] = set()
        characters = past = 0
        for start, gram in zip(repeated.tolist(), group[repeated].tolist(), strict=True):
            if start < past:
                continue
            if gram in seen:
                characters += int(sums[start + n] - sums[start])
                past = start + n
            else:
                seen.add(gram)
        return share(characters, len(self.text))

    def duplicate_ngram_characters_all_copies(self, n: int) -> float:
        """Share of all n-grams' characters in n-grams that come more than once, all their copies, as dolma counts."""
        keys = self._ngrams(n)
        if not len(keys):
            return 0.0
        _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
        lengths = self._ngram_lengths(n) - (n - 1)
        return share(int(lengths[counts[group] > 1].sum()), int(lengths.sum()))

    @staticmethod
    def duplicates(parts: list[str]) -> tuple[int, int]:
        """How many of `parts` are a second or later copy, and their characters together."""
        copies = {part: number - 1 for part, number in Counter(parts).items() if number > 1}
        return sum(copies.values()), sum(len(part) * number for part, number in copies.items())

    @staticmethod
    def duplicates_all_copies(parts: list[str]) -> tuple[int, int]:
        """How many of `parts` come more than once, the first of each with them, and their characters together."""
        copies = {part: number for part, number in Counter(parts).items() if number > 1}
        return sum(copies.values()), sum(len(part) * number for part, number in copies.items())
