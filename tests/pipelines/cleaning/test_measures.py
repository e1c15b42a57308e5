"""What the rules measure, against values computed by hand and against a naive count."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cleaning.measures import TextMeasures

# Published filters disagree on this text: all copies or the extra ones, characters or words. Ours counts extra copies.
FATHER = "\n".join(["I am your father."] * 4)


def test_repeated_lines_count_extra_copies() -> None:
    measures = TextMeasures(FATHER)
    assert measures.duplicates(measures.lines) == (3, 3 * 17)
    assert measures.duplicates(measures.paragraphs) == (0, 0)


def test_ngrams_of_a_repeated_line() -> None:
    measures = TextMeasures(FATHER)
    # Sixteen words of 13 characters a line; 5-grams repeat with period 4: the first four are new, the words from the
    # fifth on are covered.
    assert measures.duplicate_ngram_characters(5) == pytest.approx(3 / 4)
    # "I am" comes four times; so do "am your" (7) and "your father" (11), the longest of them.
    assert measures.top_ngram_characters(2) == pytest.approx(4 * 11 / len(FATHER))
    assert measures.top_ngram_characters(17) == 0.0


def test_words() -> None:
    assert TextMeasures("Don't stop -- well-known, größer: 3.5 … 漢字").words == [
        "Don't",
        "stop",
        "well-known",
        "größer",
        "3",
        "5",
        "漢字",
    ]


def _naive_duplicate_share(words: list[str], n: int) -> float:
    seen: set[tuple[str, ...]] = set()
    covered: set[int] = set()
    for start in range(len(words) - n + 1):
        gram = tuple(words[start : start + n])
        if gram in seen:
            covered.update(range(start, start + n))
        seen.add(gram)
    total = sum(map(len, words))
    return sum(len(words[i]) for i in covered) / total if total else 0.0


def _naive_top_share(words: list[str], n: int, characters: int) -> float:
    grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    most = max(grams.values(), default=0)
    if most < 2:
        return 0.0
    return min(1.0, most * max(len(gram) for gram, count in grams.items() if count == most) / characters)


@given(st.lists(st.sampled_from(["a", "bb", "ccc", "dddd"]), max_size=60), st.integers(2, 6))
def test_ngrams_agree_with_a_naive_count(words: list[str], n: int) -> None:
    text = " ".join(words)
    measures = TextMeasures(text)
    assert measures.duplicate_ngram_characters(n) == pytest.approx(_naive_duplicate_share(words, n))
    assert measures.top_ngram_characters(n) == pytest.approx(_naive_top_share(words, n, len(text) or 1))
