from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.identity import content_hash
from schemas.split import SPLITS, split_of


@pytest.mark.parametrize(
    ("first_bytes", "split"),
    [
        ("0000000000000000", "test"),
        ("3fffffffffffffff", "test"),
        ("4000000000000000", "validation"),
        ("7fffffffffffffff", "validation"),
        ("8000000000000000", "train"),
        ("ffffffffffffffff", "train"),
    ],
)
def test_the_borders_are_where_the_shares_say(first_bytes: str, split: str) -> None:
    for rest in (b"\0" * 8, b"\xff" * 8):
        assert split_of(bytes.fromhex(first_bytes) + rest, 0.25, 0.25) == split


@given(st.binary(min_size=16, max_size=16), st.floats(0, 0.5), st.floats(0, 0.5))
def test_it_is_the_fraction_of_two_to_the_sixty_fourth(content: bytes, test: float, validation: float) -> None:
    position = Fraction(int.from_bytes(content[:8], "big"), 2**64)
    wanted = "test" if position < test else "validation" if position < Fraction(test + validation) else "train"
    assert split_of(content, test, validation) == wanted


def test_shares_of_nothing_leave_all_to_training_and_texts_fall_by_share() -> None:
    hashes = [content_hash(f"text {n}") for n in range(3000)]
    assert {split_of(one, 0, 0) for one in hashes} == {"train"}
    counts = {split: sum(split_of(one, 0.1, 0.2) == split for one in hashes) for split in SPLITS}
    assert counts["test"] == pytest.approx(300, abs=60)
    assert counts["validation"] == pytest.approx(600, abs=80)
    # A document that is test under a small share stays test under a larger one.
    assert all(split_of(one, 0.2, 0) == "test" for one in hashes if split_of(one, 0.1, 0) == "test")
