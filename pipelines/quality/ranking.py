"""How good scores are: the area under the ROC curve, and whether they say what they mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["area_under_curve", "calibration"]

_BINS = 10


def area_under_curve(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """How likely a positive has a higher score than a negative, ties counting one half (Mann and Whitney 1947).

    Both classes have to occur.
    """
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2.0)[places]  # the mean of the ranks, from 1, of those that tie
    positives = int(labels.sum())
    negatives = len(labels) - positives
    return float((ranks[labels].sum() - positives * (positives + 1) / 2.0) / (positives * negatives))


def calibration(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """For each tenth of the scores: rows of both classes, their mean score, and the share of positives.

    Classes count alike in means and shares, as they do in the fit; both have to occur. Where scores are calibrated,
    mean and share are equal. Both are None where a tenth is empty.
    """
    weights = np.where(labels, 1.0 / labels.sum(), 1.0 / (~labels).sum())
    bins = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)
    table = []
    for number in range(_BINS):
        inside = bins == number
        weight = float(weights[inside].sum())
        table.append(
            {
                "from": number / _BINS,
                "to": (number + 1) / _BINS,
                "positives": int((inside & labels).sum()),
                "negatives": int((inside & ~labels).sum()),
                "mean_score": round(float((weights * scores)[inside].sum()) / weight, 6) if weight else None,
                "positive_share": round(float(weights[inside & labels].sum()) / weight, 6) if weight else None,
            }
        )
    return table
