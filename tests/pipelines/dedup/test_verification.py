"""Similarity is exact."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shingle_definition import jaccard

from pipelines.dedup.verification import comparable_sets, similarities
from schemas.configs.dedup import SignatureConfig

TEXTS = st.lists(st.sampled_from(["a", "B", "b", "ΑΣ", "ας", "İ", "中文", "字", "x", "y z", "--"]), max_size=30).map(
    " ".join
)


def compare(one: list[str], other: list[str], threshold: float = 0.0, **settings: int) -> list[float]:
    """All of one list with all of the other."""
    left, right = (comparable_sets(pa.array(texts, pa.string()), SignatureConfig(**settings)) for texts in (one, other))
    pairs = np.indices((len(one), len(other))).reshape(2, -1)
    return similarities(left, right, (pairs[0], pairs[1]), threshold).tolist()


@given(st.lists(TEXTS, max_size=4), st.lists(TEXTS, max_size=4), st.integers(1, 9), st.integers(1, 9))
def test_equal_to_python_sets(one: list[str], other: list[str], words: int, characters: int) -> None:
    expected = [jaccard(a, b, words, characters) for a in one for b in other]
    assert compare(one, other, ngram=words, ngram_characters=characters) == expected


@given(TEXTS, TEXTS, st.integers(1, 4), st.sampled_from([0.1, 0.3, 0.55, 0.7, 0.8, 1.0]))
def test_sizes_never_rule_out_a_pair_at_the_threshold(one: str, other: str, words: int, threshold: float) -> None:
    exact = jaccard(one, other, words)
    (found,) = compare([one], [other], threshold, ngram=words)
    assert found == exact if exact >= threshold else found in (0.0, exact)


def test_sizes_alone_rule_out() -> None:
    long = " ".join(f"w{i}" for i in range(30))
    half = " ".join(f"w{i}" for i in range(15))
    assert compare([half], [long], 0.5) == [0.0]
    assert compare([half], [long], 0.4) == [11 / 26]


def test_golden_similarity() -> None:
    # Seven words give three 5-grams; one changed at the end leaves two of them: 2 of 4 are common.
    assert compare(["one two three four five six seven"], ["One, two: three; four. Five six (eight)"]) == [0.5]


def test_texts_without_ngrams_are_not_alike() -> None:
    assert compare(["three words only"], ["three words only"]) == [0.0]


@pytest.mark.parametrize("length", [1024, 4096])
def test_words_made_to_collide_are_told_apart(length: int) -> None:
    # The polynomials of these words agree modulo 2^64, whatever the base; see test_shingles.py.
    morse = "".join("ab"[bin(i).count("1") % 2] for i in range(length))
    other = morse.translate(str.maketrans("ab", "ba"))
    shared = [f"w{i}" for i in range(10)]
    texts = [" ".join([*shared, word, *shared[::-1]]) for word in (morse, other)]
    assert compare(texts[:1], texts[1:]) == [jaccard(*texts)]
    assert jaccard(*texts) < 0.6
