"""How many samples each source gives: exact counts from weights."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

__all__ = ["largest_remainder"]


def largest_remainder(weights: Sequence[float], total: int) -> list[int]:
    """Whole numbers that add up to `total`, each within 1 of its share, by the method of Hamilton (largest remainder).

    Every weight gets the whole part of its exact share; what is left goes one each to the largest fractions, the
    first of equal ones first. Shares are computed as fractions, so no rounding of floats enters.

    Args:
        weights: not negative, at least one positive.
        total: not negative.
    """
    exact = [Fraction(weight) for weight in weights]
    shares = [total * weight / sum(exact) for weight in exact]
    counts = [int(share) for share in shares]
    by_fraction = sorted(range(len(shares)), key=lambda number: counts[number] - shares[number])
    for number in by_fraction[: total - sum(counts)]:
        counts[number] += 1
    return counts
