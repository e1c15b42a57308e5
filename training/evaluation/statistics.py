"""Means with their standard errors."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Estimate", "estimate_mean", "estimate_ratio"]


class Estimate(BaseModel):
    """A mean over items; the standard error is null where fewer than two groups of items were seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None = Field(description="null where there was no item")
    standard_error: float | None
    n: int
    groups: int


def estimate_mean(values: Sequence[float], groups: Sequence[Hashable] | None = None) -> Estimate:
    """The mean of `values`, with a standard error that holds when values of one group move together.

    Clustered standard error with the factor G/(G-1) for G groups (Liang and Zeger 1986; for evaluations, Miller 2024,
    "Adding Error Bars to Evals", section 2.2). With every value its own group it is s/sqrt(n), s with n-1.

    Args:
        values: one score an item.
        groups: what each item was cut from; each item stands alone where not given.
    """
    n = len(values)
    if not n:
        return Estimate(value=None, standard_error=None, n=0, groups=0)
    mean = math.fsum(values) / n
    sums: dict[Hashable, float] = {}
    for index, value in enumerate(values):
        group = index if groups is None else groups[index]
        sums[group] = sums.get(group, 0.0) + value - mean
    count = len(sums)
    if count < 2:
        return Estimate(value=mean, standard_error=None, n=n, groups=count)
    variance = math.fsum(total**2 for total in sums.values()) * count / (count - 1) / n**2
    return Estimate(value=mean, standard_error=math.sqrt(variance), n=n, groups=count)


def estimate_ratio(
    numerators: Sequence[float], denominators: Sequence[float], groups: Sequence[Hashable] | None = None
) -> Estimate:
    """Sum over sum, with the standard error of a ratio estimator.

    By the spread of the residuals y - r·x (Cochran 1977, "Sampling Techniques", section 6.4), in clusters as
    `estimate_mean` has them.

    Args:
        numerators: one an item, say bits.
        denominators: of the same items, say bytes; not all 0.
        groups: what each item was cut from; each item stands alone where not given.
    """
    total = math.fsum(denominators)
    if not total:
        return Estimate(value=None, standard_error=None, n=len(numerators), groups=0)
    ratio = math.fsum(numerators) / total
    rest = estimate_mean([y - ratio * x for y, x in zip(numerators, denominators, strict=True)], groups)
    error = None if rest.standard_error is None else rest.standard_error * rest.n / total
    return Estimate(value=ratio, standard_error=error, n=rest.n, groups=rest.groups)
