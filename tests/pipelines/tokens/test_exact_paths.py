from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pytest

from pipelines.tokens import exact_paths
from pipelines.tokens.bpe import train_tokenizer
from pipelines.tokens.byte_level import byte_alphabet
from pipelines.tokens.encoding import END_OF_TEXT, TextEncoder
from pipelines.tokens.exact_paths import PATHS, choose_path
from pipelines.tokens.pretokenization import PATTERNS, ends_words_at_spaces, pattern_of
from schemas.errors import ContractError

TEXTS = ["It's the end of the text: <|endoftext|> the end, we've said 2026 times! " * 3, "naïve 😀 日本語 \t\n\n  x"]


@pytest.mark.parametrize("pattern", [*PATTERNS, r"\p{L}+|\p{N}|[^\p{L}\p{N}]+"])
def test_every_path_gives_the_ids_of_the_reference_under_every_pattern(pattern: str) -> None:
    content = train_tokenizer(TEXTS, 330, pattern=pattern, special_tokens=(END_OF_TEXT, "<|pad|>"))
    assert pattern_of(content) == PATTERNS.get(pattern, pattern)
    assert ends_words_at_spaces(pattern_of(content)) == (pattern in PATTERNS)
    reference = TextEncoder(content)
    served = 0
    for path in PATHS[:2]:
        choice = choose_path(content, reference.unchecked, TEXTS, (path,))
        if choice.path != path:  # a pattern that it does not know: it says so and does not serve
            assert pattern not in PATTERNS
            assert choice.path == "tokenizers"
            assert choice.refused[path]
            continue
        served += 1
        texts = [*exact_paths.HARD_TEXTS, *TEXTS, "a<|pad|>b"]
        pairs = zip(TextEncoder(content, path=path).encode(texts), reference.encode(texts), strict=True)
        assert all(np.array_equal(one, other) and one.dtype == other.dtype for one, other in pairs)
    assert served == 2 or pattern not in PATTERNS


def test_a_path_that_differs_or_is_missing_gives_way_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    content = train_tokenizer(TEXTS, 300)
    reference = TextEncoder(content)
    opener = exact_paths._OPENERS["gigatoken"]

    def wrong(content: bytes) -> Callable[[str], Any]:
        encode = opener(content)
        return lambda text: encode(text)[::-1]

    monkeypatch.setitem(exact_paths._OPENERS, "gigatoken", wrong)
    choice = choose_path(content, reference.unchecked, TEXTS)
    assert choice.path == "tiktoken"
    assert choice.refused["gigatoken"].startswith("other ids than tokenizers for the text that begins")
    assert choice.notes()["encoder"] == f"tiktoken {version('tiktoken')}"

    class PanicException(BaseException):  # as compiled code raises it
        pass

    def panics(content: bytes) -> Callable[[str], Any]:
        def encode(text: str) -> Any:
            raise PanicException("index out of bounds")

        return encode

    monkeypatch.setitem(exact_paths._OPENERS, "gigatoken", panics)
    choice = choose_path(content, reference.unchecked, TEXTS)
    assert choice.path == "tiktoken"
    assert choice.refused["gigatoken"] == "the text that begins '': PanicException: index out of bounds"

    def absent(name: str) -> str:
        if name in PATHS[:2]:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(exact_paths, "version", absent)
    choice = choose_path(content, reference.unchecked, TEXTS)
    assert (choice.path, choice.refused) == ("tokenizers", {"gigatoken": "not installed", "tiktoken": "not installed"})
    with pytest.raises(ContractError, match="gigatoken: not installed; give workers the same packages as the machine"):
        TextEncoder(content, path="gigatoken")


def test_a_vocabulary_whose_ids_do_not_follow_its_merges_is_not_for_tiktoken() -> None:
    described = json.loads(train_tokenizer(["abab ab cdcd cd"] * 4, 300))
    vocabulary, merges = described["model"]["vocab"], described["model"]["merges"]
    first, second = ("".join(pair) for pair in merges[:2])
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    content = json.dumps(described).encode()
    choice = choose_path(content, TextEncoder(content).unchecked, ["abab cd"], ("tiktoken", "tokenizers"))
    assert choice.refused == {"tiktoken": "ids do not follow the order of merges"}


def test_a_tokenizer_of_another_kind_is_left_to_the_reference(byte_level_tokenizer: Callable[..., bytes]) -> None:
    alphabet = {token: number for number, token in enumerate(sorted(byte_alphabet()))}
    described = json.loads(byte_level_tokenizer(alphabet))
    described["pre_tokenizer"]["add_prefix_space"] = True
    content = json.dumps(described).encode()
    choice = choose_path(content, TextEncoder(content).unchecked, [], ("tiktoken", "tokenizers"))
    assert choice.refused == {"tiktoken": "words are not cut by one regular expression alone"}
    with pytest.raises(ContractError, match=r"stand for 4 bytes; this tokenizer loses text"):
        TextEncoder(content).encode(["abc"])


def test_a_text_that_a_path_cannot_take_gets_the_ids_of_the_reference() -> None:
    content = train_tokenizer(TEXTS, 300)
    text = " " * 1_000_000 + "x"  # over what tiktoken's regular expressions go back
    encoder = TextEncoder(content, path="tiktoken")
    with pytest.raises(ValueError, match="backtracking"):
        encoder._fast(text)
    assert np.array_equal(encoder.encode([text])[0], TextEncoder(content).encode([text])[0])


def test_a_token_that_no_merge_makes_is_not_given_to_tiktoken() -> None:
    described = json.loads(train_tokenizer(TEXTS, 300))
    described["model"]["vocab"]["Unreachable"] = max(described["model"]["vocab"].values()) + 1
    content = json.dumps(described).encode()
    choice = choose_path(content, TextEncoder(content).unchecked, TEXTS, ("tiktoken",))
    assert choice.refused == {"tiktoken": "it has tokens that no merge makes"}


def test_dropout_of_merges_is_forgotten() -> None:
    described = json.loads(train_tokenizer(TEXTS, 330))
    plain = TextEncoder(json.dumps(described).encode()).encode(TEXTS)
    described["model"]["dropout"] = 0.5
    encoder = TextEncoder(json.dumps(described).encode())
    for _ in range(5):
        assert all(np.array_equal(one, other) for one, other in zip(encoder.encode(TEXTS), plain, strict=True))


@pytest.mark.parametrize("letter", ["\u088f", "\ua7ce", "\U00011db0", "\U0002b73a"])
def test_letters_that_one_table_knows_and_another_does_not_are_tried(letter: str) -> None:
    # Where it is no letter a mark before it belongs to the same word, and merges with its first byte.
    content = train_tokenizer([f"!{letter} " * 200], 300)
    reference = TextEncoder(content)
    choice = choose_path(content, reference.unchecked, [])
    (ids,) = TextEncoder(content, path=choice.path).encode([f"!{letter}"])
    assert np.array_equal(ids, reference.encode([f"!{letter}"])[0])
