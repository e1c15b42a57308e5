from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipelines.tokens.shares import largest_remainder


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=12), st.integers(0, 10**15))
def test_counts_add_up_and_each_is_within_one_of_its_share(weights: list[float], total: int) -> None:
    assume(any(weights))
    counts = largest_remainder(weights, total)
    assert sum(counts) == total
    whole = sum(map(Fraction, weights))
    for weight, count in zip(weights, counts, strict=True):
        assert abs(count - total * Fraction(weight) / whole) < 1
    assert all(count == 0 for weight, count in zip(weights, counts, strict=True) if weight == 0)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=12))
def test_sizes_as_weights_give_the_sizes(sizes: list[int]) -> None:
    assume(any(sizes))
    assert largest_remainder(sizes, sum(sizes)) == sizes


@pytest.mark.parametrize(
    ("weights", "total", "counts"),
    [
        # Shares 4.7, 1.6, 1.58, 1.2, 0.61, 0.31 of 10 seats: the textbook example of the method.
        ([47_000, 16_000, 15_800, 12_000, 6_100, 3_100], 10, [5, 2, 1, 1, 1, 0]),
        ([1, 1, 1], 2, [1, 1, 0]),
        ([60, 22, 8, 8, 3], 101, [60, 22, 8, 8, 3]),  # GPT-3's weights, which add up to 101
        ([0.1, 0.2], 3, [1, 2]),
    ],
)
def test_known_apportionments(weights: list[float], total: int, counts: list[int]) -> None:
    assert largest_remainder(weights, total) == counts
