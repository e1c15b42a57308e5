from __future__ import annotations

import pytest

from flows.report import numbers

_NB = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00k"),
        (12_345, "12.3k"),
        (999_999, "1.00M"),
        (3.1e9, "3.10B"),
        (5e17, "500000T"),
    ],
)
def test_compact(value, text):
    assert numbers.as_compact(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (20_000, "20k"), (1_500_000, "1.5M"), (2.5, "2.5")])
def test_tick(value, text):
    assert numbers.as_tick(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.50 kB"), (2.5e9, "2.50 GB")])
def test_bytes(value, text):
    assert numbers.as_bytes(value) == text.replace(" ", _NB)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.424, "0.42 s"),
        (12.4, "12 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
    ],
)
def test_duration(seconds, text):
    assert numbers.as_duration(seconds).replace(_NB, " ") == text


def test_percent():
    assert numbers.as_percent(1, 3) == "33.3%"
    assert numbers.as_percent(3, 3) == "100%"
    assert numbers.as_percent(0, 0) == "–"


def test_estimate():
    assert numbers.as_estimate(0.4123, 0.0214) == "0.412 ± 0.021"
    assert numbers.as_estimate(-0.5, None, 1) == "\N{MINUS SIGN}0.5"
    assert numbers.as_estimate(None, None) == "–"


def test_count():
    assert numbers.as_count(1_234_567) == "1,234,567"


def test_names():
    assert [numbers.as_shots(shots) for shots in (0, 1, 8)] == ["zero-shot", "one-shot", "8-shot"]
    assert numbers.as_metric("token_f1") == "token F1"
