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

from pipelines.cleaning.c4_lines import C4_FORMS, C4Page, read_c4_page
from pipelines.cleaning.repeated_ngrams import RepeatedNgrams
from pipelines.cleaning.sentences import sentence_ends
from pipelines.cleaning.words import word_pattern

__all__ = ["TextMeasures", "share"]

_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")


def share(part: float, whole: float) -> float:
    """`part / whole`; 0 where the whole is empty."""
    return part / whole if whole else 0.0


class TextMeasures:
    """A text and what is counted in it; `language` says how to tell sentences (ISO 639-1)."""

    def __init__(self, text: str, language: str | None = None) -> None:
        self.text = text
        self.language = language
        self._c4_pages: dict[str, C4Page] = {}

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
    def _repeated(self) -> RepeatedNgrams:
        numbers = {word: number for number, word in enumerate(dict.fromkeys(self.words))}
        values = map(numbers.__getitem__, self.words)
        return RepeatedNgrams(np.fromiter(values, dtype=np.int64, count=len(self.words)))

    @cached_property
    def _length_sums(self) -> NDArray[np.int64]:
        """Characters of all words before each, and of all at the end."""
        sums: NDArray[np.int64] = np.concatenate(([0], np.cumsum(self.word_lengths)))
        return sums

    def c4_page(self, form: str) -> C4Page:
        """What a form of C4's rules makes of the text."""
        if form not in self._c4_pages:
            self._c4_pages[form] = read_c4_page(self.text, C4_FORMS[form])
        return self._c4_pages[form]

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
        if len(self.words) < n:
            return 0.0
        repeated = self._repeated.of(n)
        count, start = 1, 0
        if len(repeated.counts):
            count = int(repeated.counts.max())
            start = int(repeated.starts[np.argmax(repeated.counts[repeated.groups])])
        length = int(self._length_sums[start + n] - self._length_sums[start]) + n - 1
        return share(count * length, len(self.text))

    def duplicate_ngram_characters(self, n: int) -> float:
        """Share of the text's characters in later copies of n-grams, as datatrove counts.

        The text is read from left to right, and on from behind each copy that is found.
        """
        repeated, sums = self._repeated.of(n), self._length_sums
        seen: set[int] = set()
        characters = past = 0
        for start, gram in zip(repeated.starts.tolist(), repeated.groups.tolist(), strict=True):
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
        if len(self.words) < n:
            return 0.0
        lengths = self._length_sums[n:] - self._length_sums[:-n]
        return share(int(lengths[self._repeated.of(n).starts].sum()), int(lengths.sum()))

    @cached_property
    def duplicate_lines(self) -> tuple[int, int]:
        """Of the lines: see `duplicates`."""
        return self.duplicates(self.lines)

    @cached_property
    def duplicate_paragraphs(self) -> tuple[int, int]:
        """Of the paragraphs: see `duplicates`."""
        return self.duplicates(self.paragraphs)

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
