"""Band keys and the pairs that meet under them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dedup import banding as module
from pipelines.dedup.banding import Meeting, band_keys, bands_of, key_ranges, pairs_that_meet
from schemas.configs.dedup import Banding


def test_keys_carry_the_number_of_their_band() -> None:
    signatures = np.full((2, 12), 7, dtype=np.uint64)
    keys = band_keys(signatures, Banding(bands=6, rows=2))
    assert keys.shape == (2, 6)
    assert bands_of(keys[0]).tolist() == [0, 1, 2, 3, 4, 5]
    assert np.array_equal(keys[0], keys[1])
    assert len(set(keys[0].tolist())) == 6  # equal values in different bands never meet


def test_keys_differ_where_a_value_or_its_place_differs() -> None:
    signatures = np.array([[1, 2, 3, 4], [1, 2, 4, 3], [2, 1, 3, 4]], dtype=np.uint64)
    keys = band_keys(signatures, Banding(bands=2, rows=2))
    assert keys[0, 0] == keys[1, 0] != keys[2, 0]
    assert keys[0, 1] == keys[2, 1] != keys[1, 1]


def test_values_beyond_the_bands_are_not_used() -> None:
    signatures = np.array([[1, 2, 3], [1, 2, 9]], dtype=np.uint64)
    keys = band_keys(signatures, Banding(bands=1, rows=2))
    assert keys[0].tolist() == keys[1].tolist()


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), st.integers(0, 8))
def test_ranges_cover_the_hash_and_not_the_band(keys: list[int], bits: int) -> None:
    array = np.array(keys, dtype=np.uint64)
    numbers = key_ranges(array, 1 << bits)
    assert numbers.tolist() == [(key & (2**48 - 1)) >> (48 - bits) for key in keys]


# Rows of (key, order, content, document): texts by the number of their content, which fixes shingles and their set.
ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 9), st.integers(0, 3)), max_size=40, unique=True
)
SHINGLES = (5, 5, 5, 7, 7, 9, 9, 9, 9, 5)
SETS = (0, 0, 1, 2, 2, 3, 3, 4, 3, 0)


def meeting_of(rows: list[tuple[int, int, int, int]]) -> Meeting:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4)
    wide = [np.stack([columns[:, i], columns[:, i] * 0], axis=1).astype(np.uint64) for i in (2, 3)]
    shingles, sets = np.array(SHINGLES)[columns[:, 2]], np.array(SETS, dtype=np.uint64)[columns[:, 2]]
    return Meeting(columns[:, 0].astype(np.uint64), columns[:, 1], shingles, sets, wide[0], wide[1])


def pairs_by_definition(rows: list[tuple[int, int, int, int]], position: int, cap: int) -> tuple[int, list[tuple]]:
    left_out, pairs = 0, []
    buckets = defaultdict(list)
    for key, order, content, document in rows:
        buckets[key].append((order, content, document))
    for key, texts in buckets.items():
        first = {}
        for text in sorted(texts):
            first.setdefault(text[1], text)
        ranked = sorted(first.values())
        listed = {}
        for text in ranked:
            listed.setdefault(SETS[text[1]] if len(ranked) > cap else text, text)
        for text in ranked:
            if text[0] == position:
                above = [other for other in listed.values() if other < text]
                own = [other for other in above[cap:] if SETS[other[1]] == SETS[text[1]] and len(ranked) > cap]
                left_out += len(above[cap:]) - len(own)
                pairs += [(key, text, other) for other in above[:cap] + own]
    return left_out, sorted(pairs)


@pytest.mark.parametrize("at_once", [1, 3, 2**20])
@given(rows=ROWS, position=st.integers(0, 2), cap=st.integers(1, 5), threshold=st.sampled_from([0.0, 0.7, 1.0]))
def test_pairs_are_those_of_the_definition(
    at_once: int, rows: list[tuple[int, int, int, int]], position: int, cap: int, threshold: float
) -> None:
    rows = [row for row in rows if row[1] <= position]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PAIRS_AT_ONCE", at_once)
        left_out, portions = pairs_that_meet(meeting_of(rows), position, cap, threshold)
        found = [
            (rows[low][0], rows[low][1:], rows[high][1:])
            for pairs in portions
            for low, high in zip(pairs.lower.tolist(), pairs.higher.tolist(), strict=True)
        ]
    expected_left_out, expected = pairs_by_definition(rows, position, cap)
    sizes = [(SHINGLES[one[1]], SHINGLES[other[1]]) for _, one, other in expected]
    expected = [pair for pair, size in zip(expected, sizes, strict=True) if min(size) / max(size) >= threshold]
    assert (left_out, sorted(found)) == (expected_left_out, expected)


def test_sizes_at_the_threshold_stay() -> None:
    # 0.55 * 100 is 55.00000000000001 in floating point; 55 of 100 is 0.55 all the same.
    zero = np.zeros(2, dtype=np.uint64)
    documents = np.array([[1, 0], [2, 0]], dtype=np.uint64)
    meeting = Meeting(zero, np.zeros(2, dtype=np.int64), np.array([55, 100]), documents[:, 0], documents, documents)
    _, portions = pairs_that_meet(meeting, 0, 10, 0.55)
    assert [pairs.lower.tolist() for pairs in portions] == [[1]]
