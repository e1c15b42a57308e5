from __future__ import annotations

import re
import string
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.decontamination.words import hashed_words, ngram_hashes, normal_words

PUNCTUATION = ("remove", "separate")
CHARACTERS = "aAbZ 9\t\n\u2028.,-'’“—$+=_ßéÉİςΣσ\u00ad\u200b\u0301中ก\x1f😀"


def naive_words(text: str, separate: bool) -> list[str]:
    """Written another way: by regular expressions over characters that are rewritten one at a time."""
    out = []
    for one in text:
        kind = unicodedata.category(one)
        if re.fullmatch(r"\s", one):
            out.append(" ")
        elif one.isalnum() or kind[0] in "LMN":
            out.append({"ς": "σ", "Σ": "σ"}.get(one, one.lower()[:1]))
        elif kind[0] in "PS" and separate:
            out.append(" ")
    return [word for word in re.split(" +", "".join(out)) if word]


@given(st.text(st.sampled_from(CHARACTERS), max_size=60), st.sampled_from(PUNCTUATION))
def test_words_are_as_the_rule_says(text: str, punctuation: str) -> None:
    assert normal_words(text, punctuation) == naive_words(text, punctuation == "separate")


def test_words_as_gpt3_took_them() -> None:
    text = 'It\'s a "TEST"...\nof 1,000 (well-known) words -- U.S. ones!'
    assert normal_words(text) == ["its", "a", "test", "of", "1000", "wellknown", "words", "us", "ones"]
    assert normal_words("well-known U.S.", "separate") == ["well", "known", "u", "s"]
    # What a table of ASCII punctuation, `str.maketrans`, gives on ASCII.
    table = str.maketrans(string.ascii_uppercase, string.ascii_lowercase, string.punctuation)
    printable = "".join(chr(code) for code in range(32, 127)) * 3
    assert normal_words(printable) == printable.translate(table).split()


def test_every_code_point_is_one_character_or_none_and_normal_words_stay_as_they_are() -> None:
    for code in range(sys.maxunicode + 1):
        if 0xD800 <= code < 0xE000:
            continue
        words = normal_words(f"x{chr(code)}x")
        assert 2 <= len("".join(words)) <= 3
        assert [one for word in words for one in normal_words(word)] == words


@given(st.text(st.sampled_from(CHARACTERS), max_size=200), st.sampled_from(PUNCTUATION))
def test_hashes_and_places_are_those_of_the_words(text: str, punctuation: str) -> None:
    words, found = normal_words(text, punctuation), hashed_words(text, punctuation)
    assert len(found.hashes) == len(found.starts) == len(found.ends) == len(words)
    for word, value, start, end in zip(words, found.hashes, found.starts, found.ends, strict=True):
        assert normal_words(text[start:end], punctuation) == [word]
        assert hashed_words(word).hashes == [value]
        assert normal_words(text[start : start + 1], punctuation)  # a span begins and ends with its word
        assert normal_words(text[end - 1 : end], punctuation)


@pytest.mark.parametrize("text", ["word " * 20_000, "x" * 70_000, "a.b-c " * 9_000 + "é" * 40_000, " \n" * 30_000])
def test_long_texts_are_hashed_in_pieces_that_cut_no_word(text: str) -> None:
    words, found = normal_words(text), hashed_words(text)
    assert len(found.hashes) == len(words)
    for number in (0, len(words) // 2, len(words) - 1) if words else ():
        assert normal_words(text[found.starts[number] : found.ends[number]]) == [words[number]]
        assert hashed_words(words[number]).hashes[0] == found.hashes[number]


@given(st.lists(st.sampled_from(["a", "b", "c", "word"]), max_size=12), st.integers(1, 5))
def test_hashes_of_ngrams_depend_on_their_words_alone(words: list[str], length: int) -> None:
    found = ngram_hashes(hashed_words(" ".join(words)).hashes, length)
    runs = [tuple(words[place : place + length]) for place in range(len(words) - length + 1)]
    assert len(found) == len(runs)
    assert len(set(found.tolist())) == len(set(runs))
    for run, value in zip(runs, found, strict=True):
        assert ngram_hashes(hashed_words(" ".join(run)).hashes, length) == np.array([value])
