r"""Texts as sets of n-grams, and the 64-bit hash of an n-gram.

The units of a text are the matches of `\w+` in its lower-cased form; where at least half of the characters in them are
of scripts that put no space between words, each character is a unit. A shingle is n units in a row, with an n for words
and one for characters. Its hash is linear in the mixed hashes of its units, and the hash of a unit is a polynomial in
the mixed code points of its characters, all modulo 2^64. Hashes serve to find candidates; whether two texts are alike
is decided with others (`verification.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.dedup.code_points import code_points
from pipelines.dedup.mixing import mix64

__all__ = ["ShingleSets", "pieces", "shingle_hash", "shingle_sets", "word_hashes"]

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

_MASK = 2**64 - 1
_CHARACTER_BASE = 0x9E3779B97F4A7C15
_WORD_BASE = 0xC2B2AE3D27D4EB4F

_NOT_IN_WORD = re.compile(r"\W")


class ShingleSets(NamedTuple):
    """The sets of several texts.

    Attributes:
        hashes: those of the first text, then those of the second, and so on; distinct within a text, in no order.
        ends: shape (texts + 1,), the first 0: text i has those from `ends[i]` to `ends[i + 1]`.
    """

    hashes: U64
    ends: I64

    @property
    def counts(self) -> I64:
        """Distinct shingles by text; 0 for a text of fewer units than a shingle has."""
        return np.diff(self.ends)

    def ascending(self) -> ShingleSets:
        """The same with the hashes of each text in order."""
        ordered = self.hashes.copy()
        for start, end in zip(self.ends[:-1].tolist(), self.ends[1:].tolist(), strict=True):
            ordered[start:end].sort()
        ordered.setflags(write=False)  # as arrays that Arrow gives, so that one compiled function takes both
        return ShingleSets(ordered, self.ends)


def pieces(text: str, characters: int) -> Iterator[str]:
    """`text` in pieces of at least `characters` characters (the last may be shorter), never cut inside a word."""
    start = 0
    while start < len(text):
        cut = _NOT_IN_WORD.search(text, start + characters)
        end = cut.start() if cut else len(text)
        yield text[start:end]
        start = end


def word_hashes(text: str) -> U64:
    """One 64-bit hash per word of a text, in order; that of `shingle_hash` for a shingle of this word alone."""
    from pipelines.dedup.text_kernels import text_units

    return text_units(np.frombuffer(text.encode("utf-8"), dtype=np.uint8), *code_points())


def _utf8(texts: pa.Array) -> tuple[NDArray[np.uint8], I64]:
    """The bytes behind an array of strings, without a copy, and where each text begins and ends in them."""
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, offsets, content = texts.buffers()
    if len(texts) == 0 or content is None:
        return np.frombuffer(b"", dtype=np.uint8), np.zeros(len(texts) + 1, dtype=np.int64)
    places = np.frombuffer(offsets, dtype=width)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(content, dtype=np.uint8), places.astype(np.int64)


def shingle_sets(texts: pa.Array, words: int, characters: int, *, chained: bool = False) -> ShingleSets:
    """The hashed shingles of texts, straight from Arrow's bytes.

    Args:
        texts: `string` or `large_string`; a null has no shingles.
        words: units of a shingle where words are units.
        characters: units of a shingle where characters are.
        chained: hash units by a chain of multiplications and shifts in place of the polynomial. Long words can be made
            whose polynomials agree (sequences of Thue and Morse, whatever the base); they do not agree in the chain.
    """
    from pipelines.dedup.text_kernels import distinct_grams

    content, places = _utf8(texts)
    return ShingleSets(*distinct_grams(content, places, words, characters, *code_points(), chained))


def shingle_hash(shingle: bytes) -> int:
    """The 64-bit hash of one shingle: n lower-cased units joined by single spaces, in UTF-8.

    For use where hashes are asked for one at a time, as `datasketch.MinHash(hashfunc=shingle_hash)`.

    Raises:
        UnicodeDecodeError: `shingle` is not UTF-8.
    """
    total, factor = 0, 1
    for word in shingle.decode("utf-8").split(" "):
        value, power = 0, 1
        for character in word:
            value = value + _mixed(ord(character)) * power & _MASK
            power = power * _CHARACTER_BASE & _MASK
        total = total + _mixed(value) * factor & _MASK
        factor = factor * _WORD_BASE & _MASK
    return total


def _mixed(value: int) -> int:
    return int(mix64(np.array([value], dtype=np.uint64))[0])
