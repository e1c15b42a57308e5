from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.corpus_root import CorpusRoot
from schemas.errors import InputError, ManifestError
from schemas.mixture import MixturePlan, Phase, ShardRef, SourceShare, SourceStream, read_mixture, write_mixture


def stream(tokens: int = 100) -> SourceStream:
    shard = ShardRef(path="tokens/bpe/train/web/p/shard-00000.arrow", tokens=max(1, tokens), checksum="c")
    return SourceStream(source="web", tokens=tokens, utf8_bytes=400, documents=3, shards=(shard,))


def plan(**changes: Any) -> MixturePlan:
    share = SourceShare(source="web", weight=1.0, samples=6, windows=6)
    values: dict[str, Any] = {
        "name": "mine",
        "tokenizer": "bpe",
        "tokenizer_fingerprint": "f",
        "vocabulary_size": 400,
        "end_of_text": 399,
        "sequence_length": 16,
        "seed": 0,
        "train": (stream(),),
        "validation": (),
        "test": (),
        "phases": (Phase(samples=6, planned=6, shares=(share,)), Phase(samples=2, planned=6, shares=(share,))),
    }
    return MixturePlan(**{**values, **changes})


@pytest.mark.parametrize(
    ("tokens", "length", "windows"),
    [(0, 16, 0), (1, 16, 0), (16, 16, 0), (17, 16, 1), (32, 16, 1), (33, 16, 2), (2, 1, 1)],
)
def test_a_window_is_t_inputs_and_one_label_further(tokens: int, length: int, windows: int) -> None:
    assert stream(tokens).windows(length) == windows


def test_a_plan_comes_back_as_it_was_written(corpus_root: CorpusRoot) -> None:
    folder = corpus_root.mixture_folder()
    write_mixture(folder, plan())
    assert read_mixture(folder, "mine") == plan()
    assert plan().samples == 8


def test_the_digest_is_of_all_that_decides_about_the_tokens_and_not_of_the_name() -> None:
    assert plan(name="other").digest() == plan().digest()
    changed = [{"seed": 1}, {"sequence_length": 8}, {"tokenizer_fingerprint": "g"}, {"train": (stream(99),)}]
    changed += [{"phases": ()}, {"validation": (stream(),)}, {"end_of_text": 0}]
    assert len({plan(**change).digest() for change in changed} | {plan().digest()}) == len(changed) + 1


def test_a_plan_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        plan().seed = 5  # type: ignore[misc]


def test_what_is_not_there_or_damaged_is_named(corpus_root: CorpusRoot) -> None:
    folder = corpus_root.mixture_folder()
    with pytest.raises(InputError, match=r"no mixture 'mine' in .*/mixtures \(there: none\); run `corpusmill run mix`"):
        read_mixture(folder, "mine")
    write_mixture(folder, plan())
    with pytest.raises(InputError, match=r"no mixture 'yours' in .* \(there: mine\)"):
        read_mixture(folder, "yours")
    for content, message in (
        ("{", "mine.json is damaged"),
        ("[]", "mine.json is damaged: .*; write it again under another name"),
        (json.dumps({**plan().model_dump(), "schema_version": 1}), "mine.json has version 1, this program reads 2"),
        (json.dumps({**plan().model_dump(), "more": 2}), "mine.json is damaged: (?s:.*)Extra inputs are not permitted"),
    ):
        folder.put_whole("mine.json", content.encode())
        with pytest.raises(ManifestError, match=message):
            read_mixture(folder, "mine")
