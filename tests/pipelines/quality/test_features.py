"""Hashed words against a word at a time."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dedup.mixing import mix64
from pipelines.dedup.shingles import shingle_hash
from pipelines.quality.features import hashed_words, weigh


def one_by_one(text: str, bits: int, seed: int) -> dict[int, int]:
    salt = int(mix64(np.array([seed + 1], dtype=np.uint64))[0])
    words = re.findall(r"\w+", text.lower())
    hashes = (shingle_hash(word.encode()) ^ salt for word in words)
    return dict(Counter(int(mix64(np.array([one], dtype=np.uint64))[0]) >> (64 - bits) for one in hashes))


@given(st.text(max_size=200), st.integers(8, 24), st.integers(0, 2**63 - 1))
def test_buckets_and_counts_are_those_of_the_words(text: str, bits: int, seed: int) -> None:
    hashed = hashed_words(text, bits, seed)
    assert dict(zip(hashed.buckets.tolist(), hashed.counts.tolist(), strict=True)) == one_by_one(text, bits, seed)
    assert sorted(set(hashed.buckets.tolist())) == hashed.buckets.tolist()


def test_case_and_punctuation_do_not_count_and_order_does_not() -> None:
    first, second = hashed_words("The cat -- the CAT, sat!", 18, 0), hashed_words("sat the cat the cat", 18, 0)
    assert first.buckets.tolist() == second.buckets.tolist()
    assert sorted(first.counts.tolist()) == [1, 2, 2]


def test_long_texts_are_hashed_in_pieces_alike() -> None:
    text = "Straße naïve 東京 word " * 5000  # over several pieces
    hashed = hashed_words(text, 18, 3)
    assert hashed.counts.tolist() == [5000] * 4


def test_the_seed_moves_words_to_other_buckets() -> None:
    text = " ".join(f"word{number}" for number in range(100))
    assert set(hashed_words(text, 18, 0).buckets) != set(hashed_words(text, 18, 1).buckets)


def test_weights_of_shares_have_length_one() -> None:
    counts = np.array([1, 4, 11])
    assert weigh(counts, "root-share").tolist() == pytest.approx([0.25, 0.5, np.sqrt(11 / 16)])
    assert weigh(counts, "count").tolist() == [1.0, 4.0, 11.0]
    assert weigh(np.array([], dtype=np.int64), "root-share").tolist() == []
