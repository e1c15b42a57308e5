"""What is counted in all blocks at once, beside the same counted in one after the other."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cleaning.main_text.block_texts import look_at

_WORDS = (
    "and so on",
    "Photo: Getty Images",
    "DON’T MISS",
    "İstanbul",
    "東京都",
    "ไทย",
    "a.",
    "«x»",
    "😀!",
    "tags: x",
    "Ende…",
)
_TEXTS = st.lists(
    st.lists(st.sampled_from(_WORDS) | st.text(min_size=1, max_size=6), min_size=1, max_size=4)
    .map(lambda words: " ".join(" ".join(words).split()))
    .filter(bool),
    min_size=1,
    max_size=8,
)


@given(_TEXTS)
def test_counts_are_those_of_each_text(texts: list[str]) -> None:
    seen = look_at(texts)
    unspaced = re.compile("[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff]")
    assert seen.sizes.tolist() == [len(text) for text in texts]
    assert seen.words.tolist() == [text.count(" ") + 1 + len(unspaced.findall(text)) / 2 for text in texts]
    assert seen.punctuation.tolist() == [len(re.findall("[.,;:!?…。，、！？؟।]", text)) for text in texts]
    assert seen.ends.tolist() == [text[-1] in ".!?\"”’':…。！？)" for text in texts]
    assert seen.shouts.tolist() == [text[:80].isupper() for text in texts]


def test_phrases_are_looked_for_in_texts_of_their_length() -> None:
    texts = ["İ" * 150 + " photo:", "x" * 300 + " photo:", "x" * 700 + " photo:", "Subscribe", "Related: more"]
    seen = look_at(texts)
    assert seen.captions.tolist() == [1, 1, 0, 0, 0]
    # The lower-case form of the dotted capital I is two code points long.
    assert seen.framed.tolist() == [0, 0, 0, 1, 1]
    assert seen.leads.tolist() == [0, 0, 0, 1, 1]
    assert np.isfinite(seen.words).all()
