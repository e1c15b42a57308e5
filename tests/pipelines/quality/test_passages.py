"""Passages depend on texts alone."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pipelines.quality.passages import Passage, PassageSample, is_held_out, passages_of
from schemas.identity import content_hash

TEXTS = [f"{'word ' * number} of the text number {number}" for number in range(1, 120)]


def drawn(texts: list[str], size: int, seed: int = 0) -> list[Passage]:
    sample = PassageSample(size, seed)
    for text in texts:
        for passage in passages_of(content_hash(text), text, 200):
            sample.add(passage)
    return sample.passages()


@given(st.integers(1, 400), st.integers(0, 5), st.randoms(use_true_random=False))
def test_order_and_copies_make_no_difference(size: int, seed: int, shuffled: random.Random) -> None:
    texts = TEXTS + TEXTS[:30]
    shuffled.shuffle(texts)
    found = drawn(texts, size, seed)
    assert found == drawn(TEXTS, size, seed)
    assert len(found) == min(size, len(drawn(TEXTS, 10**6)))


def test_more_texts_only_push_out_higher_draws() -> None:
    few, many = set(drawn(TEXTS[:60], 50)), set(drawn(TEXTS, 50))
    assert {one for one in many if one.document in {content_hash(text) for text in TEXTS[:60]}} <= few


def test_a_text_is_cut_between_words_and_a_short_end_is_left_out() -> None:
    text = "abcdefghi " * 60 + "end"
    parts = list(passages_of(b"d" * 16, text, 200))
    assert [part.number for part in parts] == [0, 1, 2]
    assert "".join(part.text for part in parts) == text
    assert [part.number for part in passages_of(b"d" * 16, text[:450], 200)] == [0, 1]
    assert [part.text for part in passages_of(b"d" * 16, "short", 200)] == ["short"]
    assert list(passages_of(b"d" * 16, "", 200)) == []


def test_held_out_is_a_share_of_the_documents() -> None:
    held = [is_held_out(content_hash(text), 0, 0.2) for text in map(str, range(5000))]
    assert abs(sum(held) - 1000) < 3 * (5000 * 0.2 * 0.8) ** 0.5
    other = [is_held_out(content_hash(text), 1, 0.2) for text in map(str, range(5000))]
    assert held != other
