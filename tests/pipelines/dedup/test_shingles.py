"""Shingles: the fast path over arrays equals the definition, word by word."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dedup import shingles
from pipelines.dedup.shingles import pieces, shingle_hash, shingle_hashes, sorted_distinct, words

MASK = 2**64 - 1

# Letters of several scripts, digits, underscores, characters whose lower case is longer or depends on what follows
# them, combining marks, characters outside the basic plane, and what separates words.
TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from("abAB_19 \n.,-'İΣσéЖ中한\u0301𝐀😀\u200d"), st.characters(exclude_categories=["Cs"])
    )
)


def mixed(value: int) -> int:
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD & MASK
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 & MASK
    return value ^ value >> 33


def hash_by_definition(gram: tuple[str, ...]) -> int:
    values = [sum(mixed(ord(c)) * pow(0x9E3779B97F4A7C15, i, 2**64) for i, c in enumerate(word)) for word in gram]
    return sum(mixed(v & MASK) * pow(0xC2B2AE3D27D4EB4F, i, 2**64) for i, v in enumerate(values)) & MASK


def grams(text: str, n: int) -> set[tuple[str, ...]]:
    found = re.findall(r"\w+", text.lower())
    return {tuple(found[i : i + n]) for i in range(len(found) - n + 1)}


@given(TEXTS, st.integers(1, 6))
@settings(deadline=None)
def test_fast_path_equals_the_scalar_hash_and_the_definition(text: str, n: int) -> None:
    expected = {hash_by_definition(gram) for gram in grams(text, n)}
    assert {shingle_hash(" ".join(gram).encode()) for gram in grams(text, n)} == expected
    fast = shingle_hashes(text, n)
    assert fast.dtype == np.uint64
    assert fast.tolist() == sorted(expected)


def test_hash_of_a_known_shingle() -> None:
    # Computed with hash_by_definition above; stored signatures depend on it.
    assert shingle_hash(b"the quick brown fox jumps") == 0x2A56570AB7BC7951
    assert shingle_hash("größe über 中".encode()) == 0xEA136CEBE75501F5


def test_word_characters_are_those_of_the_regular_expression() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    by_expression = np.zeros(sys.maxunicode + 1, dtype=bool)
    by_expression[[match.start() for match in re.finditer(r"\w", every)]] = True
    assert np.array_equal(shingles._character_values() != 0, by_expression)


def test_text_longer_than_a_piece_and_a_word_longer_than_a_piece() -> None:
    text = " ".join([*(f"wörd{i}" for i in range(3000)), "x" * 40_000, *(f"Word{i % 50}" for i in range(6000))])
    assert shingle_hashes(text, 5).tolist() == sorted({hash_by_definition(gram) for gram in grams(text, 5)})


def test_text_of_fewer_words_than_n_has_no_shingle() -> None:
    assert len(shingle_hashes("only four words here", 5)) == 0
    assert len(shingle_hashes("", 1)) == 0
    assert len(shingle_hashes("... !!!", 1)) == 0


@given(TEXTS, st.integers(1, 20))
def test_pieces_join_to_the_text_and_never_cut_a_word(text: str, characters: int) -> None:
    parts = list(pieces(text, characters))
    assert "".join(parts) == text
    assert all(len(part) >= characters for part in parts[:-1])
    assert [word for part in parts for word in re.findall(r"\w+", part)] == re.findall(r"\w+", text)


def test_words_are_lower_cased() -> None:
    assert words("Don't STOP_me Ωmega 42") == ["don", "t", "stop_me", "ωmega", "42"]


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_sorted_distinct(values: list[int]) -> None:
    assert sorted_distinct(np.array(values, dtype=np.uint64)).tolist() == sorted(set(values))


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(UnicodeDecodeError, match="invalid start byte"):
        shingle_hash(b"\xff\xfe")
