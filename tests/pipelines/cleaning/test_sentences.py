"""Sentence ends as code point offsets."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from pipelines.cleaning.sentences import sentence_ends


def test_offsets_are_code_points_and_paragraphs_end_sentences() -> None:
    text = "Größe zählt. 漢字。 Dr. Smith came.\n\nNo end mark\n\nLast one!"
    parts = []
    start = 0
    for end in sentence_ends(text, "en"):
        parts.append(text[start:end].strip())
        start = end
    assert parts[0] == "Größe zählt."
    assert parts[-2:] == ["No end mark", "Last one!"]
    assert any(part.endswith("Dr. Smith came.") for part in parts)


@given(st.text(max_size=200))
def test_ends_ascend_within_the_text(text: str) -> None:
    ends = sentence_ends(text, "en")
    assert ends == sorted(set(ends))
    assert all(0 < end <= len(text) for end in ends)


def test_text_without_spaces_costs_its_length() -> None:
    start = time.process_time()
    ends = sentence_ends("日本。" * 100_000, "ja")
    assert time.process_time() - start < 10
    assert len(ends) == 100_000
    assert ends[-1] == 300_000
