"""The words of a text as n-grams know them: lower case, no punctuation, parted by white space (Brown et al. 2020, C).

Every code point stands for itself in lower case, for a separator, or for nothing. Both views of a text, its words as
strings and their 64-bit hashes with their places, follow from that one rule. Hashes find candidates; whether a text
holds an n-gram is decided on the strings.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.dedup.mixing import mix64

__all__ = ["WORD_BASE", "Punctuation", "Words", "hashed_words", "ngram_hashes", "normal_words"]

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Punctuation = Literal["remove", "separate"]

_CODE_POINTS = 0x110000
# Odd, so that no factor of two is lost modulo 2^64: primes of xxHash64.
_CHARACTER_BASE = 0x9E3779B185EBCA87
_CHARACTER_INVERSE = pow(_CHARACTER_BASE, -1, 2**64)
WORD_BASE = 0xC2B2AE3D27D4EB4F
_SEPARATOR, _NOTHING = 0, 1  # values of code points that are no part of a word
# Characters hashed at once: eight arrays of 8 bytes each stay in the second-level cache of 1 MiB.
_PIECE_CHARACTERS = 2**14
_SPACE = re.compile(r"\s")


def _normal(character: str, punctuation: Punctuation) -> str:
    """What a character becomes: one character, a space, or nothing."""
    if character.isspace():
        return " "
    if not character.isalnum():
        group = unicodedata.category(character)[0]
        if group in "PS":
            return " " if punctuation == "separate" else ""
        if group == "C":  # controls, joiners, what is not assigned
            return ""
    # One for one, so that places hold: a dotted capital I loses its dot, a final sigma is a sigma.
    lower = character.lower()[0]
    return "σ" if lower == "ς" else lower


class _Translation(dict[int, str]):
    def __init__(self, punctuation: Punctuation) -> None:
        super().__init__()
        self._punctuation = punctuation

    def __missing__(self, code: int) -> str:
        self[code] = _normal(chr(code), self._punctuation)
        return self[code]


@cache
def _translation(punctuation: Punctuation) -> _Translation:
    return _Translation(punctuation)


def normal_words(text: str, punctuation: Punctuation = "remove") -> list[str]:
    """The words of a text."""
    return text.translate(_translation(punctuation)).split()


@cache
def _values(punctuation: Punctuation) -> U64:
    """By code point: the mixed value of its lower case, or what says that it is no part of a word; 9 MB."""
    translation = _translation(punctuation)
    codes = np.arange(_CODE_POINTS, dtype=np.uint64)
    kinds = np.zeros(_CODE_POINTS, dtype=np.uint8)
    for code in range(_CODE_POINTS):
        normal = _normal(chr(code), punctuation) if code > 127 else translation[code]
        if normal in ("", " "):
            kinds[code] = 1 if normal else 2
        else:
            codes[code] = ord(normal)
    values = mix64(codes + np.uint64(2))
    values[kinds == 1], values[kinds == 2] = _SEPARATOR, _NOTHING
    return values


def _powers(base: int, count: int) -> U64:
    factors = np.full(count, base, dtype=np.uint64)
    factors[0] = 1
    return np.multiply.accumulate(factors)


@cache
def _piece_powers() -> tuple[U64, U64]:
    return _powers(_CHARACTER_BASE, 2 * _PIECE_CHARACTERS), _powers(_CHARACTER_INVERSE, 2 * _PIECE_CHARACTERS)


def _powers_to(length: int) -> tuple[U64, U64]:
    if length <= 2 * _PIECE_CHARACTERS:
        return _piece_powers()
    return _powers(_CHARACTER_BASE, length), _powers(_CHARACTER_INVERSE, length)


class Words(NamedTuple):
    """The words of a text: the hash of each, and its first and one past its last code point."""

    hashes: U64
    starts: I64
    ends: I64


def _pieces(text: str) -> list[tuple[int, str]]:
    """The text cut at white space into pieces of `_PIECE_CHARACTERS` characters or more, each with where it starts."""
    found = []
    start = 0
    while start < len(text):
        cut = _SPACE.search(text, start + _PIECE_CHARACTERS)
        end = cut.start() if cut else len(text)
        found.append((start, text[start:end]))
        start = end
    return found


def _piece_words(piece: str, punctuation: Punctuation) -> Words:
    codes = (
        np.frombuffer(piece.encode("ascii"), dtype=np.uint8)
        if piece.isascii()
        else np.frombuffer(piece.encode("utf-32-le"), dtype=np.uint32)
    )
    values = _values(punctuation)[codes]
    there = values != _NOTHING
    places = np.flatnonzero(there)
    if len(places) < len(values):
        values = values[places]
    in_word = values != _SEPARATOR
    if not in_word.any():
        return Words(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))
    starts = np.flatnonzero(np.concatenate([in_word[:1], in_word[1:] & ~in_word[:-1]]))
    lasts = np.flatnonzero(np.concatenate([in_word[:-1] & ~in_word[1:], in_word[-1:]]))
    powers, inverses = _powers_to(len(values))
    # Powers count from the start of the piece, and the inverse power at a word's start makes them count from there.
    # A separator has value 0, so each sum may run on to the start of the next word.
    sums = np.add.reduceat(values * powers[: len(values)], starts)
    return Words(mix64(sums * inverses[starts]), places[starts], places[lasts] + 1)


def hashed_words(text: str, punctuation: Punctuation = "remove") -> Words:
    """The words of a text as hashes, in order: those of `normal_words`, with their places in the text as it is."""
    parts = []
    for offset, piece in _pieces(text):
        found = _piece_words(piece, punctuation)
        parts.append(Words(found.hashes, found.starts + offset, found.ends + offset))
    if not parts:
        return Words(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))
    return Words(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def ngram_hashes(hashes: U64, words: int) -> U64:
    """One hash for each run of `words` words, in order; empty where there are fewer.

    Args:
        hashes: of the words.
        words: at least 1.
    """
    count = len(hashes) - words + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    total = np.zeros(count, dtype=np.uint64)
    factor = 1
    for offset in range(words):
        total += hashes[offset : offset + count] * np.uint64(factor)
        factor = factor * WORD_BASE & (2**64 - 1)
    return total
