"""GPT-2's ids by every encoder of ours, against the two libraries themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiktoken
from gpt2_texts import data_texts, noise_texts, run_texts, unicode_texts
from tokenizers import Tokenizer

from pipelines.tokens.byte_level import byte_alphabet
from pipelines.tokens.encoding import END_OF_TEXT, TextEncoder
from pipelines.tokens.exact_paths import HARD_TEXTS, PATHS, choose_path
from pipelines.tokens.load_tokenizer import load_tokenizer

# As OpenAI publishes it with the encoding "gpt2": possessive, and so free of the library's limit on backtracking.
_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"


@pytest.fixture(scope="module")
def content(shared_data: Path) -> bytes:
    return load_tokenizer(str(shared_data / "gpt2"), "gpt2", END_OF_TEXT, ())


@pytest.fixture(scope="module")
def encoders(content: bytes) -> list[TextEncoder]:
    """Ours, one for each path, the fastest first."""
    return [TextEncoder(content, path=path) for path in PATHS]


@pytest.fixture(scope="module")
def others(content: bytes, shared_data: Path) -> tuple[Any, Any]:
    """`tokenizers` and `tiktoken`, each set up here and not by our code."""
    reference = Tokenizer.from_str(content.decode())
    reference.encode_special_tokens = True
    vocabulary = json.loads((shared_data / "gpt2" / "encoder.json").read_text())
    alphabet = byte_alphabet()
    ranks = {bytes(alphabet[c] for c in token): n for token, n in vocabulary.items() if token != END_OF_TEXT}
    encoding = tiktoken.Encoding("gpt2", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={})
    return (
        lambda text: reference.encode(text, add_special_tokens=False).ids,
        lambda text: encoding.encode_to_numpy(text, disallowed_special=()),
    )


def require_equal(encoders: Iterable[TextEncoder], others: Iterable[Any], texts: Iterable[str]) -> int:
    tokens = 0
    for text in texts:
        wanted: Any = None
        for other in others:
            try:
                found = other(text)
            except ValueError:  # tiktoken's limit on backtracking, on the longest runs of spaces
                continue
            assert wanted is None or np.array_equal(found, wanted), text[:80]
            wanted = found
        for encoder in encoders:
            (ids,) = encoder.encode([text])
            assert np.array_equal(ids, wanted), (text[:80], encoder)
            assert encoder.end_of_text not in ids
        tokens += len(wanted)
    return tokens


def test_ids_are_those_of_both_libraries(
    encoders: list[TextEncoder], others: tuple[Any, Any], shared_data: Path
) -> None:
    assert (encoders[0].vocabulary_size, encoders[0].end_of_text) == (50_257, 50_256)
    some = [text[:20_000] for text in list(data_texts(shared_data, every=100))[::5]]
    assert require_equal(encoders, others, [*HARD_TEXTS, *noise_texts(), *some]) > 300_000


@pytest.mark.slow
def test_runs_have_the_ids_of_both_libraries(encoders: list[TextEncoder], others: tuple[Any, Any]) -> None:
    assert require_equal(encoders[:1], others, run_texts()) > 2_500_000


@pytest.mark.slow
def test_all_of_unicode_has_the_ids_of_both_libraries(encoders: list[TextEncoder], others: tuple[Any, Any]) -> None:
    assert require_equal(encoders[:1], others, unicode_texts()) > 2_000_000


def test_the_published_words_have_their_published_ids(encoders: list[TextEncoder]) -> None:
    for encoder in encoders:
        found = encoder.encode(["Hello world", " Hello  world\n", "<|endoftext|>"])
        assert [ids.tolist() for ids in found] == [
            [15496, 995],
            [18435, 220, 995, 198],
            [27, 91, 437, 1659, 5239, 91, 29],
        ]


def test_the_fastest_path_serves_gpt2(content: bytes, encoders: list[TextEncoder]) -> None:
    reference = encoders[-1]
    choice = choose_path(content, reference.unchecked, ["some text"])
    assert (choice.path, choice.refused) == ("gigatoken", {})
    assert choose_path(content, reference.unchecked, [], ("tiktoken", "tokenizers")).path == "tiktoken"
    assert choose_path(content, reference.unchecked, [], ("tokenizers",)).path == "tokenizers"
