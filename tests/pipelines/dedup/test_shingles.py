"""Shingles: the compiled path over Arrow's bytes equals the definition, word by word."""

from __future__ import annotations

import re
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shingle_definition import UNSPACED, grams, hash_by_definition

from pipelines.dedup.code_points import code_points
from pipelines.dedup.mixing import mix64
from pipelines.dedup.shingles import pieces, shingle_hash, shingle_sets, word_hashes

# Letters of several scripts, digits, underscores, characters whose lower case is longer or depends on what is around
# them, combining marks, characters outside the basic plane, and what separates words.
ALPHABET = st.one_of(
    st.sampled_from("abAB_19 \n.,-'İΣΣσςéЖ中文字ไทยカナ한\u0301\u00ad\u1fbd𝐀𠀀😀\u200d"),
    st.characters(exclude_categories=["Cs"]),
)
TEXTS = st.text(alphabet=ALPHABET)


def sets_of(texts: list[str], words: int, characters: int = 10) -> list[list[int]]:
    sets = shingle_sets(pa.array(texts, pa.string()), words, characters).ascending()
    return [sets.hashes[start:end].tolist() for start, end in zip(sets.ends[:-1], sets.ends[1:], strict=True)]


def hashes_by_arrays(text: str) -> list[int]:
    """One hash a word by Python's own lower case and expression, over arrays, for texts of millions of characters."""
    lowered = text.lower()
    lowered = lowered[re.search(r"\w|$", lowered).start() :]  # type: ignore[union-attr]
    codes = np.frombuffer(lowered.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    spans = np.array([match.span() for match in re.finditer(r"\w+", lowered)])
    powers = np.full(int((spans[:, 1] - spans[:, 0]).max()) + 1, 0x9E3779B97F4A7C15, dtype=np.uint64)
    powers[0] = 1
    powers = np.multiply.accumulate(powers)
    inside = np.arange(len(codes)) - np.repeat(spans[:, 0], np.diff(spans[:, 0], append=len(codes)))
    lengths = np.repeat(spans[:, 1] - spans[:, 0], np.diff(spans[:, 0], append=len(codes)))
    values = np.where(inside < lengths, mix64(codes) * powers[np.minimum(inside, len(powers) - 1)], np.uint64(0))
    return mix64(np.add.reduceat(values, spans[:, 0])).tolist()


@given(st.lists(TEXTS, max_size=4), st.integers(1, 6), st.integers(1, 6))
def test_compiled_path_equals_the_scalar_hash_and_the_definition(texts: list[str], words: int, characters: int) -> None:
    expected = [sorted(hash_by_definition(gram) for gram in grams(text, words, characters)) for text in texts]
    scalar = [
        sorted(shingle_hash(" ".join(gram).encode()) for gram in grams(text, words, characters)) for text in texts
    ]
    assert sets_of(texts, words, characters) == expected == scalar


def test_hash_of_a_known_shingle() -> None:
    # Computed with hash_by_definition; stored signatures depend on it.
    assert shingle_hash(b"the quick brown fox jumps") == 0x2A56570AB7BC7951
    assert shingle_hash("größe über 中".encode()) == 0xEA136CEBE75501F5


def every_character(end: int = sys.maxunicode + 1) -> list[str]:
    return [chr(code) for code in range(end) if not 0xD800 <= code < 0xE000]


def test_every_code_point_is_lowered_and_cut_as_python_does_it() -> None:
    text = "".join(f"x{character}y " for character in every_character())
    assert word_hashes(text).tolist() == hashes_by_arrays(text)


@pytest.mark.parametrize("around", ["AΣ{} ", "AΣ{}A ", "A{}Σ ", "{}Σ "])
def test_every_code_point_beside_a_sigma(around: str) -> None:
    before, after = around.split("{}")
    planes = [*every_character(0x20000), *map(chr, range(0xE0000, 0xE0200))]
    text = before + f"{after}{before}".join(planes) + after
    assert word_hashes(text).tolist() == hashes_by_arrays(text)


def test_every_code_point_of_a_script_without_spaces() -> None:
    unspaced = [character for character in every_character() if code_points().classes[ord(character)] & 1]
    assert unspaced == UNSPACED.findall("".join(every_character()))


def test_real_texts_of_280_languages(shared_data: Path) -> None:
    with tarfile.open(shared_data / "html" / "udhr.tar.xz") as archive:
        pages = [archive.extractfile(one).read().decode("utf-8") for one in archive if one.isfile()]  # type: ignore[union-attr]
    texts = [re.sub(r"<[^>]*>", " ", page) for page in pages]
    assert len(texts) > 270
    by_characters = 0
    for text in texts[::3]:
        lowered = word_hashes(text).tolist()
        assert lowered == hashes_by_arrays(text)
        by_characters += any(len(gram) == 10 for gram in grams(text, 5))
    assert by_characters > 3
    assert [len(one) for one in sets_of(texts[::9], 5)] == [len(grams(text, 5)) for text in texts[::9]]


def test_a_text_of_a_script_without_spaces_is_cut_by_characters() -> None:
    text = "我能吞下玻璃而不伤身体。" * 2
    assert sets_of([text], 5, 10) == [
        sorted(hash_by_definition(tuple(text.replace("。", "")[i : i + 10])) for i in range(11))
    ]
    # Three of seven characters are not half: one word of Latin letters, one of Han.
    assert sets_of(["abcd 玻璃而"], 2, 2) == [[hash_by_definition(("abcd", "玻璃而"))]]


def test_a_slice_of_an_array_large_offsets_and_a_null() -> None:
    texts = ["zero zero", "one two three", None, "four five six"]
    plain = sets_of([text or "" for text in texts], 2)
    for kind in (pa.string(), pa.large_string()):
        sets = shingle_sets(pa.array(texts, kind)[1:], 2, 10).ascending()
        assert sets.counts.tolist() == [2, 0, 2]
        assert sets.hashes.tolist() == [*plain[1], *plain[2], *plain[3]]


def test_long_texts_and_long_words() -> None:
    text = " ".join([*(f"wörd{i}" for i in range(3000)), "x" * 40_000, *(f"Word{i % 50}" for i in range(6000))])
    assert sets_of([text], 5) == [sorted({hash_by_definition(gram) for gram in grams(text, 5)})]


@pytest.mark.parametrize(
    "text", ["abcdefgh 字字 " * 20_000, "ab字 " * 20_000, "İ" * 20_000, "a " * 20_000, "字" * 20_000]
)
def test_texts_of_most_units_for_their_bytes(text: str) -> None:
    assert sets_of([text], 3, 3) == [sorted({hash_by_definition(gram) for gram in grams(text, 3, 3)})]


def test_text_of_fewer_units_than_a_shingle_has_none() -> None:
    assert sets_of(["only four words here", "", "... !!!", "四个字的"], 5) == [[], [], [], []]
    assert sets_of([], 5) == []


@given(st.binary(max_size=80))
def test_bytes_that_are_no_utf8_are_read_within_their_bounds(content: bytes) -> None:
    offsets = pa.py_buffer(np.array([0, len(content)], dtype=np.int32).tobytes())
    texts = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(content)])
    assert shingle_sets(texts, 1, 1).counts[0] <= len(content)


@given(TEXTS, st.integers(1, 20))
def test_pieces_join_to_the_text_and_never_cut_a_word(text: str, characters: int) -> None:
    parts = list(pieces(text, characters))
    assert "".join(parts) == text
    assert all(len(part) >= characters for part in parts[:-1])
    assert [word for part in parts for word in re.findall(r"\w+", part)] == re.findall(r"\w+", text)


def test_long_words_whose_polynomials_agree_do_not_agree_in_the_chain() -> None:
    # Sequences of Thue and Morse: the difference of the two is a product of 10 even numbers times four, 0 modulo 2^64.
    morse = "".join("ab"[bin(i).count("1") % 2] for i in range(1024))
    words = [morse, morse.translate(str.maketrans("ab", "ba"))]
    assert sets_of(words[:1], 1) == sets_of(words[1:], 1)
    chained = shingle_sets(pa.array(words), 1, 10, chained=True)
    assert len(set(chained.hashes.tolist())) == 2


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(UnicodeDecodeError, match="invalid start byte"):
        shingle_hash(b"\xff\xfe")
