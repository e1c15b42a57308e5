from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from token_corpus import PANICKING_TOKENIZER
from tokenizers import Tokenizer, models, pre_tokenizers

from pipelines.tokens.encoding import END_OF_TEXT, TextEncoder
from pipelines.tokens.load_tokenizer import load_tokenizer
from schemas.errors import ConfigError, InputError


def test_gpt2_loads_under_either_set_of_names(shared_data: Path, tmp_path: Path) -> None:
    published = load_tokenizer(str(shared_data / "gpt2"), "gpt2", END_OF_TEXT, ())
    for name, other in (("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt")):
        (tmp_path / other).write_bytes((shared_data / "gpt2" / name).read_bytes())
    assert load_tokenizer(str(tmp_path), "gpt2", END_OF_TEXT, ()) == published
    (tmp_path / "tokenizer.json").write_bytes(published)
    assert load_tokenizer(str(tmp_path), "gpt2", END_OF_TEXT, ()) == published
    more = TextEncoder(load_tokenizer(str(tmp_path / "tokenizer.json"), "gpt2", END_OF_TEXT, ("<|user|>",)))
    assert (more.vocabulary_size, more.end_of_text) == (50_258, 50_256)
    assert 50_257 not in more.encode(["<|user|>"])[0]


def test_a_tokenizer_whose_tokens_are_no_bytes_loads_and_is_compared_by_its_texts(tmp_path: Path) -> None:
    # Pieces with a mark for a space, and bytes where a character is unknown, as in vocabularies of SentencePiece.
    tokens = ["</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "ab", "▁ab"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    merges = [("a", "b"), ("▁", "ab")]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    content = json.loads(tokenizer.to_str())
    content["decoder"] = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
        ],
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    encoder = TextEncoder(load_tokenizer(str(tmp_path / "tokenizer.json"), "gpt2", "</s>", ()), "</s>")
    assert encoder.token_bytes is None
    (ids,) = encoder.encode(["ab ab é"])
    assert ids.tolist() == [vocabulary[one] for one in ("ab", "▁ab", "▁", "<0xC3>", "<0xA9>")]
    assert encoder.decode(ids) == "ab ab é".encode()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"cannot read .*nothing"),
        ({"notes.txt": "x"}, r"no tokenizer in .*: neither tokenizer.json nor vocab.bpe or merges.txt is there"),
        (
            {"merges.txt": "a b"},
            r"neither tokenizer.json nor encoder.json or vocab.json is there \(there: merges.txt\)",
        ),
        ({"tokenizer.json": "{}"}, r"holds no tokenizer that can be read: .*; give a tokenizer.json"),
        ({"tokenizer.json": PANICKING_TOKENIZER}, r"holds no tokenizer that can be read: PanicException: "),
        ({"vocab.json": '{"a": 0}', "merges.txt": "a"}, r"holds no tokenizer that can be read"),
    ],
)
def test_a_place_without_a_tokenizer_is_named(tmp_path: Path, files: dict[str, str], message: str) -> None:
    folder = tmp_path / "nothing"
    for name, text in files.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    with pytest.raises(InputError, match=message):
        load_tokenizer(str(folder), "gpt2", END_OF_TEXT, ())


def test_another_end_of_text_has_to_be_named(shared_data: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"tokenizer.end_of_text is </s>, and .*gpt2 has no such token; set it to one"
    ):
        load_tokenizer(str(shared_data / "gpt2"), "gpt2", "</s>", ())


def test_the_stage_takes_a_tokenizer_before_there_are_documents(
    chain: Any, corpus_writer: Any, shared_data: Path
) -> None:
    settings = {"name": "gpt2", "load": str(shared_data / "gpt2"), "test": 0.0, "validation": 0.0}
    (outcome,) = chain.tokenizer(**settings).outcomes
    assert outcome.manifest.counts["vocabulary_size"] == 50_257
    assert outcome.manifest.notes["fertility"] == []
    key = corpus_writer.documents("p", ["some text <|endoftext|>"])
    # It has seen nothing of the corpus, so anything may be held out.
    manifest = chain.tokenize(tokenizer="gpt2", test=0.5, validation=0.4).outcomes[0].manifest
    assert manifest.notes["encoder"].startswith("gigatoken ")
    assert sum(manifest.counts[f"tokens_{split}"] for split in ("train", "validation", "test")) > 5
    assert key in chain.root.partitions("tokens/gpt2/train")
