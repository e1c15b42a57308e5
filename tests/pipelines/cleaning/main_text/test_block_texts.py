"""What is counted in all blocks at once, beside the same counted in one after the other."""

from __future__ import annotations

from block_features_definition import text_counts
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cleaning.main_text.block_texts import look_at
from pipelines.cleaning.main_text.page_blocks import PageBlocks, read_blocks

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
    "word " * 16,
)
_TEXTS = st.lists(
    st.lists(st.sampled_from(_WORDS) | st.text(min_size=1, max_size=6), min_size=1, max_size=4)
    .map(lambda words: " ".join(" ".join(words).split()))
    .filter(bool),
    min_size=1,
    max_size=8,
)


def blocks_of(texts: list[str]) -> PageBlocks:
    escaped = (text.replace("&", "&amp;").replace("<", "&lt;") for text in texts)
    return read_blocks("".join(f"<p>{text}" for text in escaped))


@given(_TEXTS)
def test_counts_are_those_of_each_text(texts: list[str]) -> None:
    counts, alike = look_at(blocks_of(texts))
    assert counts.T.tolist() == [text_counts(text) for text in texts]
    starts = [text[:80] for text in texts]
    assert alike.tolist() == [starts.index(start) if len(start) == 80 else -1 for start in starts]


def test_capitals_of_all_scripts() -> None:
    signs = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000 and not chr(code).isspace()]
    for begun in ("", "A"):
        texts = [begun + sign for sign in signs]
        assert look_at(blocks_of(texts)).counts[7].tolist() == [text.isupper() for text in texts]


def test_phrases_are_looked_for_in_texts_of_their_length() -> None:
    texts = ["İ" * 150 + " photo:", "x" * 300 + " photo:", "x" * 700 + " photo:", "Subscribe", "Related: more"]
    _, _, _, _, framed, captions, leads, _ = look_at(blocks_of(texts)).counts
    assert captions.tolist() == [1, 1, 0, 0, 0]
    # The lower-case form of the dotted capital I is two code points long.
    assert framed.tolist() == [0, 0, 0, 1, 1]
    assert leads.tolist() == [0, 0, 0, 1, 1]
