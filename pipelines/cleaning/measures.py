"""What the quality rules measure of a text; each part of it is computed at most once.

What a word is stands in `pipelines.cleaning.words`; white space and punctuation alone are none. Lines are lines with a
character in them; paragraphs are separated by blank lines.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.cleaning.c4_lines import C4_FORMS, C4Page, read_c4_page
from pipelines.cleaning.sentences import sentence_ends
from pipelines.cleaning.word_kernels import number_words, repeated_runs, word_bounds
from pipelines.cleaning.words import code_point_classes

__all__ = ["TextMeasures", "WordPlaces", "share"]

I32 = NDArray[np.int32]

_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")
# Words of the longest n-grams that rules ask about; longer ones are counted too, in a pass of their own.
_LONGEST_RUN = 10
# Of hashes on which no value depends: nobody can make a page whose words meet in one place of a table.
_SEED = np.uint64(secrets.randbits(64))


class WordPlaces(NamedTuple):
    """The words of a text.

    Attributes:
        starts: first code point of each.
        ends: the code point behind the last of each.
        numbers: by word, equal for equal words, from 0 on.
        firsts: by number, the first word that has it.
        alphabetic: how many of the words have a letter in them.
    """

    starts: I32
    ends: I32
    numbers: I32
    firsts: I32
    alphabetic: int


def share(part: float, whole: float) -> float:
    """`part / whole`; 0 where the whole is empty."""
    return part / whole if whole else 0.0


class TextMeasures:
    """A text and what is counted in it; `language` says how to tell sentences (ISO 639-1)."""

    def __init__(self, text: str, language: str | None = None) -> None:
        self.text = text
        self.language = language
        self._c4_pages: dict[str, C4Page] = {}
        self._repeated: list[tuple[int, int, int, int]] = []

    @cached_property
    def places(self) -> WordPlaces:
        """Where the words are, and which of them are equal."""
        codes = np.frombuffer(self.text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        starts, ends, alphabetic = word_bounds(codes, code_point_classes())
        numbers, firsts = number_words(codes, starts, ends, _SEED)
        return WordPlaces(starts, ends, numbers, firsts, int(alphabetic))

    @property
    def word_count(self) -> int:
        """How many words there are."""
        return len(self.places.starts)

    @property
    def word_characters(self) -> int:
        """Characters in all words."""
        return int(self._length_sums[-1])

    @property
    def alphabetic_words(self) -> int:
        """How many of the words have a letter in them."""
        return self.places.alphabetic

    def distinct_words(self, longest: int) -> set[str]:
        """The words of at most so many characters, each once."""
        starts, ends = self.places.starts[self.places.firsts], self.places.ends[self.places.firsts]
        short = ends - starts <= longest
        places = zip(starts[short].tolist(), ends[short].tolist(), strict=True)
        return {self.text[start:end] for start, end in places}

    @cached_property
    def lines(self) -> list[str]:
        """Lines with a character in them, without white space around."""
        return [line.strip() for line in self.text.split("\n") if line.strip()]

    @cached_property
    def paragraphs(self) -> list[str]:
        """Paragraphs, without white space around."""
        return [part.strip() for part in _PARAGRAPH_BREAK.split(self.text) if part.strip()]

    @cached_property
    def _length_sums(self) -> NDArray[np.int64]:
        """Characters of all words before each, and of all at the end."""
        sums = np.zeros(self.word_count + 1, dtype=np.int64)
        np.cumsum(self.places.ends - self.places.starts, out=sums[1:])
        return sums

    def _runs(self, n: int) -> tuple[int, int, int, int]:
        """What `repeated_runs` says of n words, n at least 1."""
        if n >= len(self._repeated):
            found = repeated_runs(self.places.numbers, self._length_sums, max(n, _LONGEST_RUN), _SEED)
            self._repeated = [tuple(row) for row in found.tolist()]
        return self._repeated[n]

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
        if self.word_count < n:
            return 0.0
        count, start, _, _ = self._runs(n)
        length = int(self._length_sums[start + n] - self._length_sums[start]) + n - 1
        return share(count * length, len(self.text))

    def duplicate_ngram_characters(self, n: int) -> float:
        """Share of the text's characters in later copies of n-grams, as datatrove counts.

        The text is read from left to right, and on from behind each copy that is found.
        """
        return share(self._runs(n)[2], len(self.text))

    def duplicate_ngram_characters_all_copies(self, n: int) -> float:
        """Share of all n-grams' characters in n-grams that come more than once, all their copies, as dolma counts."""
        if self.word_count < n:
            return 0.0
        lengths = self._length_sums[n:] - self._length_sums[:-n]
        return share(self._runs(n)[3], int(lengths.sum()))

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
