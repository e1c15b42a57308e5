r"""Texts as sets of word n-grams, and the 64-bit hash of an n-gram.

The words of a text are the matches of `\w+` in its lower-cased form, a shingle is n of them in a row. The hash of a
shingle is linear in the mixed hashes of its words, and the hash of a word is a polynomial in the mixed code points of
its characters, all modulo 2^64, so that a text is hashed in a handful of passes over arrays. The hash serves to find
candidates; whether two texts are alike is decided without it (`verification.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "lowered_words",
    "mix64",
    "pieces",
    "shingle_hash",
    "shingle_hashes",
    "sorted_distinct",
    "word_hashes",
    "words",
]

U64 = NDArray[np.uint64]
IntegerT = TypeVar("IntegerT", np.uint64, np.int64)

_MAX_CODE_POINT = 0x10FFFF
_MASK = 2**64 - 1
# Odd, so that no factor of two is lost modulo 2^64: the golden ratio's bits, and a prime of xxHash64.
_CHARACTER_BASE = 0x9E3779B97F4A7C15
_CHARACTER_INVERSE = pow(_CHARACTER_BASE, -1, 2**64)
_WORD_BASE = 0xC2B2AE3D27D4EB4F
# Characters hashed at once: eight arrays of 8 bytes each stay in the second-level cache of 1 MiB.
_PIECE_CHARACTERS = 2**14

_WORD = re.compile(r"\w+")
_NOT_IN_WORD = re.compile(r"\W")


def mix64(values: U64) -> U64:
    """The 64-bit finalizer of MurmurHash3 (Appleby 2011): a bijection of 64-bit values that spreads every bit."""
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))


@lru_cache(maxsize=1)
def _character_values() -> U64:
    r"""By code point: its mixed value where `\w` matches it, else 0; 9 MB."""
    in_word = np.fromiter(
        (character == "_" or character.isalnum() for character in map(chr, range(_MAX_CODE_POINT + 1))), dtype=bool
    )
    return np.where(in_word, mix64(np.arange(_MAX_CODE_POINT + 1, dtype=np.uint64)), np.uint64(0))


def _powers(base: int, count: int) -> U64:
    factors = np.full(count, base, dtype=np.uint64)
    factors[0] = 1
    return np.multiply.accumulate(factors)


@lru_cache(maxsize=1)
def _piece_powers() -> tuple[U64, U64]:
    return _powers(_CHARACTER_BASE, _PIECE_CHARACTERS * 2), _powers(_CHARACTER_INVERSE, _PIECE_CHARACTERS * 2)


def _powers_to(length: int) -> tuple[U64, U64]:
    """Powers of the character base and of its inverse, for at least `length` positions."""
    if length <= 2 * _PIECE_CHARACTERS:
        return _piece_powers()
    return _powers(_CHARACTER_BASE, length), _powers(_CHARACTER_INVERSE, length)


def pieces(text: str, characters: int) -> Iterator[str]:
    """`text` in pieces of at least `characters` characters (the last may be shorter), never cut inside a word."""
    start = 0
    while start < len(text):
        cut = _NOT_IN_WORD.search(text, start + characters)
        end = cut.start() if cut else len(text)
        yield text[start:end]
        start = end


def words(text: str) -> list[str]:
    r"""The words of a text: the matches of `\w+` in its lower-cased form."""
    return lowered_words(text.lower())


def lowered_words(lowered: str) -> list[str]:
    """The words of a text that is lower-cased already, or of a piece of such a text."""
    return _WORD.findall(lowered)


def _piece_hashes(lowered: str) -> U64:
    """One hash per word of a piece of lower-cased text, in order."""
    codes = (
        np.frombuffer(lowered.encode("ascii"), dtype=np.uint8)
        if lowered.isascii()
        else np.frombuffer(lowered.encode("utf-32-le"), dtype=np.uint32)
    )
    values = _character_values()[codes]
    in_word = values != 0
    if not in_word.any():
        return np.empty(0, dtype=np.uint64)
    starts = np.flatnonzero(np.concatenate([in_word[:1], in_word[1:] & ~in_word[:-1]]))
    powers, inverses = _powers_to(len(values))
    # Powers count from the start of the piece, and the inverse power at a word's start makes them count from there.
    # What stands between two words has value 0, so each sum may run on to the start of the next word.
    sums = np.add.reduceat(values * powers[: len(values)], starts)
    return mix64(sums * inverses[starts])


def word_hashes(text: str) -> U64:
    """One 64-bit hash per word of a text, in order; that of `shingle_hash` for a shingle of this word alone."""
    parts = [_piece_hashes(piece) for piece in pieces(text.lower(), _PIECE_CHARACTERS)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def sorted_distinct(values: NDArray[IntegerT]) -> NDArray[IntegerT]:
    """The distinct values, ascending. `np.unique` took seven times as long on hashes: it builds a hash table."""
    ordered = np.sort(values)
    different = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=different[1:])
    return ordered[different]


def _combine(hashes: U64, n: int) -> U64:
    """One hash per run of n words, in order; empty for fewer than n words."""
    count = len(hashes) - n + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    total = np.zeros(count, dtype=np.uint64)
    factor = 1
    for offset in range(n):
        total += hashes[offset : offset + count] * np.uint64(factor)
        factor = factor * _WORD_BASE & _MASK
    return total


def shingle_hashes(text: str, n: int) -> U64:
    """The distinct hashes of the word n-grams of a text, ascending; empty for a text of fewer than n words.

    Equal to the set of `shingle_hash` over its n-grams.
    """
    return sorted_distinct(_combine(word_hashes(text), n))


def shingle_hash(shingle: bytes) -> int:
    """The 64-bit hash of one shingle: n lower-cased words joined by single spaces, in UTF-8.

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
