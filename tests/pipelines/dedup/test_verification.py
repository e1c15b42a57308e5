"""Similarity is exact, whatever the batches."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dedup.verification import jaccard, ngram_sets, pair_batches, similarities

TEXTS = st.lists(st.sampled_from(["a", "B", "b", "Σ", "ς", "İ", "中", "x", "y z", "--"]), max_size=30).map(" ".join)


def by_sets(one: str, other: str, n: int) -> float:
    def grams(text: str) -> set[tuple[str, ...]]:
        found = re.findall(r"\w+", text.lower())
        return {tuple(found[i : i + n]) for i in range(len(found) - n + 1)}

    left, right = grams(one), grams(other)
    return len(left & right) / len(left | right) if left | right else 0.0


@given(st.lists(TEXTS, min_size=2, max_size=6), st.integers(1, 9), st.integers(1, 200))
@settings(deadline=None)
def test_equal_to_python_sets_for_any_batches(texts: list[str], n: int, budget: int) -> None:
    left, right = np.triu_indices(len(texts), 1)
    expected = [by_sets(texts[i], texts[j], n) for i, j in zip(left, right, strict=True)]
    assert similarities(texts, left, right, n, budget).tolist() == expected


def test_long_ngrams_over_a_large_vocabulary_are_numbered_anew() -> None:
    # 17 bits a word: three words fit side by side in 63 bits, eight do not.
    one = " ".join(f"w{i}" for i in range(100_000))
    other = " ".join(f"w{i}" for i in range(1_000, 101_000))
    (value,) = similarities([one, other], np.array([0]), np.array([1]), 8, 10**9)
    assert value == by_sets(one, other, 8)


def test_golden_similarity() -> None:
    # Seven words give three 5-grams; one changed at the end leaves two of them: 2 of 4 are common.
    texts = ["one two three four five six seven", "One, two: three; four. Five six (eight)"]
    assert similarities(texts, np.array([0]), np.array([1]), 5, 10**6).tolist() == [0.5]


def test_texts_without_ngrams_are_not_alike() -> None:
    one, other = ngram_sets(["three words only", "three words only"], 5)
    assert jaccard(one, other) == 0.0


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20),
    st.integers(1, 60),
)
def test_runs_of_pairs_keep_to_the_budget(lengths: list[int], pairs: list[tuple[int, int]], budget: int) -> None:
    pairs = [(a % len(lengths), b % len(lengths)) for a, b in pairs]
    left, right = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    runs = pair_batches(np.array(lengths), left, right, budget)
    assert [place for start, end in runs for place in range(start, end)] == list(range(len(pairs)))
    for start, end in runs:
        texts = {text for pair in pairs[start:end] for text in pair}
        assert end == start + 1 or sum(lengths[text] for text in texts) <= budget


def test_no_texts() -> None:
    assert ngram_sets([], 5) == []
    with pytest.raises(IndexError):
        ngram_sets([], 5)[0]
