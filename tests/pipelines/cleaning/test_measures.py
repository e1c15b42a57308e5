"""What the rules measure, against values computed by hand and against a naive count."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cleaning.measures import TextMeasures

# Published filters disagree on this text: all copies or the extra ones, characters or words.
FATHER = "\n".join(["I am your father."] * 4)


def test_repeated_lines_count_extra_copies_or_all() -> None:
    measures = TextMeasures(FATHER)
    assert measures.duplicates(measures.lines) == (3, 3 * 17)
    assert measures.duplicates_all_copies(measures.lines) == (4, 4 * 17)
    assert measures.duplicates(measures.paragraphs) == (0, 0)


def test_ngrams_of_a_repeated_line() -> None:
    measures = TextMeasures(FATHER)
    # Of the words 1+2+4+6: the second line's "I am your father I" (14) is the first copy, the next search begins at
    # the third line's "am": "am your father I am" (15); two words are left.
    assert measures.duplicate_ngram_characters(5) == pytest.approx((14 + 15) / len(FATHER))
    # Each of the four 5-grams comes three times.
    assert measures.duplicate_ngram_characters_all_copies(5) == 1.0
    # "I am", "am your" and "your father" come four times; the first of them counts, with its space.
    assert measures.top_ngram_characters(2) == pytest.approx(4 * 4 / len(FATHER))
    assert measures.top_ngram_characters(17) == 0.0


def test_a_text_without_repetition_has_a_top_ngram_too() -> None:
    assert TextMeasures("this is a test.").top_ngram_characters(2) == pytest.approx(7 / 15)


def words_of(measures: TextMeasures) -> list[str]:
    return [measures.text[start:end] for start, end in zip(measures.places.starts, measures.places.ends, strict=True)]


def test_words() -> None:
    assert words_of(TextMeasures("Don't stop -- well-known, größer: 3.5 … 漢字")) == [
        "Don't",
        "stop",
        "well-known",
        "größer",
        "3",
        "5",
        "漢字",
    ]
    # Vowel signs belong to their letters, and a joiner holds a Persian word together.
    assert words_of(TextMeasures("हिन्दी में नमस्ते")) == ["हिन्दी", "में", "नमस्ते"]
    assert words_of(TextMeasures("می‌خواهم")) == ["می‌خواهم"]


@cache
def plain_words() -> re.Pattern[str]:
    marks = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M")
    return re.compile(rf"\w[\w\u200c\u200d{marks}]*(?:['’\-][\w\u200c\u200d{marks}]+)*")


@given(st.one_of(st.text(), st.text("ab1_é日ि́‍'’- \n", max_size=60)))
def test_words_are_those_of_the_pattern_and_numbered_by_what_they_are(text: str) -> None:
    measures = TextMeasures(text)
    words = plain_words().findall(text)
    assert words_of(measures) == words
    order = list(dict.fromkeys(words))
    assert measures.places.numbers.tolist() == [order.index(word) for word in words]
    assert [words[first] for first in measures.places.firsts] == order
    assert measures.alphabetic_words == sum(any(map(str.isalpha, word)) for word in words)
    assert measures.word_characters == sum(map(len, words))
    assert measures.distinct_words(2) == {word for word in words if len(word) <= 2}


def test_many_words_in_one_table_are_told_apart() -> None:
    words = [first + second for first in map(chr, range(0x4E00, 0x4E40)) for second in map(chr, range(0x5E00, 0x5E40))]
    assert TextMeasures(" ".join(words * 2)).places.numbers.tolist() == list(range(len(words))) * 2


def _naive_duplicate_share(words: list[str], n: int, characters: int) -> float:
    """Left to right with a set of what was seen, on past each copy."""
    seen: set[tuple[str, ...]] = set()
    found = start = 0
    while start + n <= len(words):
        gram = tuple(words[start : start + n])
        found += len("".join(gram)) if gram in seen else 0
        start += n if gram in seen else 1
        seen.add(gram)
    return found / characters


def _naive_share_of_all_copies(words: list[str], n: int) -> float:
    grams = ["".join(gram) + " " * (n - 1) for gram in zip(*(words[i:] for i in range(n)), strict=False)]
    keys = [tuple(words[i : i + n]) for i in range(len(grams))]
    total = sum(len(gram) - (n - 1) for gram in grams)
    return sum(len(gram) - (n - 1) for gram, key in zip(grams, keys, strict=True) if keys.count(key) > 1) / (total or 1)


def _naive_top_share(words: list[str], n: int, characters: int) -> float:
    grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    if not grams:
        return 0.0
    gram, count = grams.most_common(1)[0]  # the first of those that come most often
    return count * len(gram) / characters


@given(st.lists(st.sampled_from(["a", "bb", "ccc", "dddd"]), max_size=60), st.integers(2, 6))
def test_ngrams_agree_with_a_naive_count(words: list[str], n: int) -> None:
    text = " ".join(words)
    measures = TextMeasures(text)
    assert measures.duplicate_ngram_characters(n) == pytest.approx(_naive_duplicate_share(words, n, len(text) or 1))
    assert measures.duplicate_ngram_characters_all_copies(n) == pytest.approx(_naive_share_of_all_copies(words, n))
    assert measures.top_ngram_characters(n) == pytest.approx(_naive_top_share(words, n, len(text) or 1))
