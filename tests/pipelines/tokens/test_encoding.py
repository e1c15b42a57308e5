from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from pipelines.tokens.bpe import train_tokenizer
from pipelines.tokens.byte_level import byte_alphabet, split_long
from pipelines.tokens.encoding import END_OF_TEXT, TextEncoder
from schemas.errors import ContractError

TEXTS = ["It's the end of the text: <|endoftext|> the end, we've said 2026 times! " * 3, "naïve 😀 日本語 \t\n\n  x"]
# Words, contractions, numbers, marks, white space of all kinds, and text that spells the special token.
WHITE = (" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u2028", "\x00")
WORDS = ("the", "The", "'ve", "'", "2026", "!?", "é", "e\u0301", "日本", "😀", "<|", "|>", END_OF_TEXT)
PIECES = st.sampled_from(WHITE + WORDS)


@lru_cache
def encoder() -> TextEncoder:
    return TextEncoder(train_tokenizer(TEXTS, 320))


def test_the_alphabet_is_that_of_the_library_and_of_the_published_vocabulary(shared_data: Path) -> None:
    assert sorted(byte_alphabet()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(byte_alphabet().values()) == list(range(256))
    published = json.loads((shared_data / "gpt2" / "encoder.json").read_text())
    assert {token for token, number in published.items() if number < 256} == set(byte_alphabet())


@pytest.mark.parametrize("text", [END_OF_TEXT, f"a{END_OF_TEXT}b", f"{END_OF_TEXT}{END_OF_TEXT}\n", f" {END_OF_TEXT} "])
def test_text_that_spells_the_end_of_text_does_not_become_it(text: str) -> None:
    (ids,) = encoder().encode([text])
    assert encoder().end_of_text not in ids
    assert encoder().decode(ids) == text.encode()


@settings(max_examples=60)
@given(st.lists(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=30).map("".join)), max_size=4))
def test_every_text_comes_back_byte_for_byte(texts: list[str]) -> None:
    found = encoder().encode(texts)
    assert [encoder().decode(ids) for ids in found] == [text.encode("utf-8") for text in texts]
    assert all(encoder().end_of_text not in ids for ids in found)


@settings(max_examples=200)
@given(st.lists(PIECES, max_size=60).map("".join), st.integers(4, 60))
def test_a_long_text_has_the_same_ids_in_pieces(text: str, limit: int) -> None:
    pieces = list(split_long(text, limit, 1000))
    assert "".join(pieces) == text
    (whole,) = encoder().encode([text])
    assert np.array_equal(np.concatenate(encoder().encode(pieces)), whole)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", [""]),
        ("abcd", ["abcd"]),
        ("a b c d e", ["a b", " c d", " e"]),
        ("ab " + "x" * 6 + " y z", ["ab", " xxxxxx", " y z"]),  # a piece may be longer than the limit
        ("ab " + "x" * 20 + " y", ["ab", " xxxxxxx", "xxxxxxxx", "xxxxx", " y"]),
        ("." * 16, ["." * 8, "." * 8]),
    ],
)
def test_pieces_end_before_spaces_and_only_a_very_long_word_is_cut(text: str, pieces: list[str]) -> None:
    assert list(split_long(text, 4, 8)) == pieces


@pytest.mark.parametrize(("size", "kind"), [(65_536, np.uint16), (65_537, np.uint32)])
def test_ids_are_as_wide_as_the_vocabulary_needs(
    size: int, kind: Any, with_vocabulary_of: Callable[[int], bytes]
) -> None:
    wide = TextEncoder(with_vocabulary_of(size))
    assert (wide.vocabulary_size, wide.end_of_text) == (size, size - 1)
    (ids,) = wide.encode(["a b"])
    assert (ids.dtype, wide.dtype) == (kind, kind)
    assert wide.decode(np.array([*ids, size - 1], dtype=kind)) == b"a b"


def test_a_file_that_is_no_such_tokenizer_is_refused(byte_level_tokenizer: Callable[..., bytes]) -> None:
    with pytest.raises(ContractError, match=r"this is no tokenizer.json: .*; make the tokenizer under another name"):
        TextEncoder(b"{}")
    alphabet = {token: number for number, token in enumerate(sorted(byte_alphabet()))}
    with pytest.raises(ContractError, match=r"the tokenizer has no token <\|endoftext\|>; make one with"):
        TextEncoder(byte_level_tokenizer(alphabet, ended=False))
    words = Tokenizer(models.WordLevel({"日": 0, END_OF_TEXT: 1}, unk_token="日"))
    with pytest.raises(ContractError, match=r"the ids of the text that begins 'x' decode to another text; this"):
        TextEncoder(words.to_str().encode()).encode(["x"])


def test_a_tokenizer_that_loses_text_is_found_out(byte_level_tokenizer: Callable[..., bytes]) -> None:
    without_x = (token for token in sorted(byte_alphabet()) if token != "x")
    content = byte_level_tokenizer({token: number for number, token in enumerate(without_x)})
    with pytest.raises(ContractError, match=r"the ids of a text of 5 bytes, which begins 'a x b', stand for 4 bytes"):
        TextEncoder(content).encode(["a x b"])
