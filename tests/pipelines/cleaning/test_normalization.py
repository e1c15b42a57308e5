"""One normal form of text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cleaning.normalization import normalize


@pytest.mark.parametrize(
    ("given_text", "wanted"),
    [
        ("a\r\nb\rc\u2028d\x85e", "a\nb\nc\nd\ne"),
        ("nul\x00 and \ud800 surrogate\ufeff", "nul and surrogate"),
        ("many   spaces\tand\u00a0more", "many spaces and more"),
        ("  one  \n\n\n\n  two  ", "  one\n\n  two"),
        ("def f():\n\treturn  1", "def f():\n\treturn 1"),
        ("soft\u00adhyphen", "softhyphen"),
        ("e\u0301", "\u00e9"),
        ("\u1100\u1161", "\uac00"),
        (" \n\t ", ""),
    ],
)
def test_normal_form(given_text: str, wanted: str) -> None:
    assert normalize(given_text) == wanted


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_idempotent_and_storable(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    assert once.encode("utf-8").decode("utf-8") == once
    assert "\x00" not in once
    assert "\r" not in once


def test_long_runs_cost_their_length() -> None:
    start = time.process_time()
    for text in (" " * 10**6 + "a", "a" + " " * 10**6 + "b", "\n \n" * 300_000, "\t \t" * 300_000 + "x"):
        normalize(text)
    assert time.process_time() - start < 5
