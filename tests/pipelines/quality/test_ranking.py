"""AUC against counting pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.quality.ranking import area_under_curve, calibration

_ROWS = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.95, 1.0]), st.booleans()), min_size=2, max_size=40)


@given(_ROWS.filter(lambda rows: len({label for _, label in rows}) == 2))
def test_area_is_the_share_of_pairs_in_order(rows: list[tuple[float, bool]]) -> None:
    good = [score for score, label in rows if label]
    bad = [score for score, label in rows if not label]
    pairs = [(1.0 if g > b else 0.5 if g == b else 0.0) for g in good for b in bad]
    scores, labels = np.array([s for s, _ in rows]), np.array([label for _, label in rows])
    assert area_under_curve(scores, labels) == pytest.approx(sum(pairs) / len(pairs))
    table = calibration(scores, labels)
    assert sum(row["positives"] for row in table) == len(good)
    assert sum(row["negatives"] for row in table) == len(bad)


def test_calibration_by_hand() -> None:
    scores = np.array([0.05, 0.05, 0.95, 1.0, 0.04])
    labels = np.array([False, False, False, True, True])
    table = calibration(scores, labels)
    assert [row["positives"] + row["negatives"] for row in table] == [3, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    # Below 0.1: one of two positives and two of three negatives, so 0.5 / (0.5 + 2 / 3).
    assert table[0]["positive_share"] == pytest.approx(0.428571)
    assert table[0]["mean_score"] == pytest.approx((0.04 / 2 + 0.05 * 2 / 3) / (1 / 2 + 2 / 3), abs=1e-6)
    assert (table[1]["positive_share"], table[1]["mean_score"]) == (None, None)
