"""Bins hold every value once, and the threshold parts what passes from what fails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.funnel_report.histograms import Histogram, Range, bin_edges
from flows.funnel_report.page import plot_histogram

_FLOATS = st.one_of(
    st.floats(0, 1, width=32),
    st.floats(-(2.0**99), 2.0**99, width=32),
    st.integers(0, 2**24).map(float),
    st.sampled_from([0.0, 2.0, 0.3, 0.1, 100_000.0]),
)


@given(
    st.lists(_FLOATS, min_size=1, max_size=60),
    st.lists(st.tuples(_FLOATS, st.sampled_from(["at_least", "at_most", "above", "below"])), max_size=3),
)
def test_every_value_is_counted_on_its_side(values: list[float], thresholds: list[tuple[float, str]]) -> None:
    array = np.array(values, dtype=np.float32)
    found = Range()
    for part in np.array_split(array, 3):
        found.add(part)
    histogram = Histogram(bin_edges(found, thresholds))  # type: ignore[arg-type]
    assert (np.diff(histogram.edges) > 0).all()
    assert len(histogram.kept) <= 50
    for number, part in enumerate(np.array_split(array, 2)):
        histogram.add(part, kept=number == 0)
    assert histogram.total == len(values)
    counts = histogram.kept + histogram.dropped
    for threshold, side in thresholds:
        limit = np.float32(threshold)
        below = int((array < limit).sum() if side in {"at_least", "below"} else (array <= limit).sum())
        assert below in {0, *np.cumsum(counts).tolist()}
    assert plot_histogram(histogram, tuple(thresholds)).startswith("<svg")


def test_whole_numbers_have_bins_of_their_own() -> None:
    found = Range()
    found.add(np.array([0, 3, 8], dtype=np.float32))
    assert bin_edges(found, [(2.0, "at_least")]).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert bin_edges(found, [(20.0, "at_most")]).tolist() == list(range(22))


def test_the_line_stands_at_the_threshold() -> None:
    found = Range()
    found.add(np.array([0.0, 1.0], dtype=np.float32))
    histogram = Histogram(bin_edges(found, [(0.5, "at_most")]))
    drawn = plot_histogram(histogram, ((0.5, "at_most"),))
    assert 'class="limit" d="M320.0 0' in drawn
    assert "kept ≤ 0.5" in drawn


@pytest.mark.parametrize("value", [0.0, 5.0, -3.5, 210_901_047_181_312.0, 1e30])
def test_one_value_alone_is_drawn(value: float) -> None:
    found = Range()
    found.add(np.array([value, value], dtype=np.float32))
    histogram = Histogram(bin_edges(found, []))
    histogram.add(np.array([value, value], dtype=np.float32), kept=True)
    assert histogram.kept.sum() == 2
    assert "nan" not in plot_histogram(histogram, ())
