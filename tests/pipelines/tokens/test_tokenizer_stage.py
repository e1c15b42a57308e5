from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.tokens import tokenizer_stage
from pipelines.tokens.encoding import TextEncoder
from pipelines.tokens.frozen import read_tokenizer
from pipelines.tokens.tokenizer_stage import pending
from schemas.configs.base import load_config
from schemas.configs.tokenizer import TokenizerConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ConfigError, InputError, TooLittleTextError
from schemas.identity import content_hash, document_id
from schemas.split import split_of
from schemas.token_shard import tokenizer_fingerprint

TEXTS = [f"The page number {n} of the book speaks of {n * 7919} things." for n in range(80)]


def test_a_tokenizer_is_made_once_and_described(chain: Any, corpus_writer: Any, book: Callable[[str], Any]) -> None:
    books = book("aesop-s-fables.md")[:300]
    corpus_writer.documents("p", books, source="books")
    corpus_writer.documents("p", TEXTS)
    request = chain.request(TokenizerConfig(vocabulary_size=400))
    assert pending(request) == 1
    (outcome,) = chain.tokenizer(test=0.005, validation=0.005).outcomes
    assert (outcome.status, str(outcome.key), pending(request)) == ("done", "bpe/", 0)
    folder = Path(chain.root.url) / "tokenizers" / "bpe"
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "tokenizer.json"]
    content = (folder / "tokenizer.json").read_bytes()
    frozen = read_tokenizer(chain.root, "bpe")
    assert frozen.fingerprint == tokenizer_fingerprint(content) == outcome.manifest.notes["fingerprint"]
    assert (frozen.vocabulary_size, frozen.end_of_text, frozen.content) == (400, 399, content)
    assert TextEncoder(content).vocabulary_size == 400
    rows = {row["source"]: row for row in outcome.manifest.notes["fertility"]}
    assert list(rows) == ["books", "web"]
    for source, texts in (("books", books), ("web", TEXTS)):
        kept = [text for text in texts if split_of(content_hash(text), 0.005, 0.005) == "train"]
        assert rows[source]["documents"] == len(set(kept))
        assert rows[source]["words"] == sum(len(text.split()) for text in set(kept))
        assert rows[source]["bytes_per_token"] == round(rows[source]["utf8_bytes"] / rows[source]["tokens"], 4) > 1
    assert len(outcome.manifest.notes["longest_tokens"]) == 20
    assert " page number " not in outcome.manifest.notes["longest_tokens"]  # words are not merged with each other


def test_it_is_never_made_again_under_its_name(chain: Any, corpus_writer: Any) -> None:
    corpus_writer.documents("p", TEXTS)
    chain.tokenizer()
    before = read_tokenizer(chain.root, "bpe")
    corpus_writer.documents("q", [text.upper() for text in TEXTS])
    (outcome,) = chain.tokenizer(vocabulary_size=300).outcomes
    assert outcome.status == "skipped"
    assert outcome.reason == "tokenizer 'bpe' is frozen (made with vocabulary_size 400); another name makes another one"
    assert read_tokenizer(chain.root, "bpe") == before
    (outcome,) = chain.tokenizer(name="second", vocabulary_size=300).outcomes
    assert (outcome.status, outcome.manifest.counts["vocabulary_size"]) == ("done", 300)


def test_copies_partitions_and_order_make_no_difference(chain: Any, corpus_writer: Any, tmp_path: Path) -> None:
    found = set()
    for name, parts in (("a", [TEXTS]), ("b", [TEXTS[40:], TEXTS[:50][::-1]])):
        writer = type(corpus_writer)(CorpusRoot(str(tmp_path / name)))
        for number, texts in enumerate(parts):
            writer.documents(f"part-{number}", {text: text for text in texts}, files=1 + number)
        notes = type(chain)(writer.root).tokenizer(sample_bytes=1500).outcomes[0].manifest.notes
        found.add(json.dumps(notes, sort_keys=True))
    assert len(found) == 1


def test_only_kept_training_documents_are_drawn(
    chain: Any, corpus_writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = corpus_writer.documents("p", TEXTS)
    rows = tokenizer_stage.kept_documents(chain.root, key, 0, 0)
    removed = {row.text for row in list(rows)[::5]}
    names = {text: f"doc-{number}" for number, text in enumerate(TEXTS)}
    corpus_writer.duplicates(key, [document_id("web", names[text], content_hash(text)) for text in removed])
    seen: list[str] = []
    train = tokenizer_stage.train_tokenizer

    def spy(texts: Any, size: int, **about: Any) -> bytes:
        seen.extend(texts)
        return train(seen, size, **about)

    monkeypatch.setattr(tokenizer_stage, "train_tokenizer", spy)
    manifest = chain.tokenizer(test=0.2, validation=0.2).outcomes[0].manifest
    wanted = {text for text in TEXTS if text not in removed and split_of(content_hash(text), 0.2, 0.2) == "train"}
    assert set(seen) == wanted
    assert manifest.counts["sample_documents"] == len(wanted) == len(seen)
    assert manifest.counts["sample_bytes"] == sum(len(text.encode()) for text in wanted)


def test_a_budget_bounds_the_sample(chain: Any, corpus_writer: Any) -> None:
    corpus_writer.documents("p", TEXTS)
    counts = chain.tokenizer(sample_bytes=500).outcomes[0].manifest.counts
    assert 500 <= counts["sample_bytes"] < 500 + max(map(len, TEXTS))


def test_no_documents_and_no_training_documents_are_named(chain: Any, corpus_writer: Any) -> None:
    with pytest.raises(InputError, match=r"no documents of any partition in .*; run the stage that writes documents"):
        chain.tokenizer()
    corpus_writer.documents("p", [])
    with pytest.raises(TooLittleTextError, match=r"no kept training documents with text in .* \(0 documents kept in 1"):
        chain.tokenizer()
    assert pending(chain.request(TokenizerConfig())) == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("vocabulary_size=256", "tokenizer.vocabulary_size: Input should be greater than or equal to 257, got 256"),
        ("name=../x", r"tokenizer.name: String should match pattern .*, got '../x'"),
        ("vocab=300", "tokenizer.vocab: unknown key; .*known keys: end_of_text, .*sample_bytes, seed, .*test, .*"),
        ("test=0.995", r"test \+ validation must be below 1, or no document is left to train on"),
    ],
)
def test_wrong_settings_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(TokenizerConfig, None, [override])


def test_another_one_is_made_beside_a_frozen_one(chain: Any, corpus_writer: Any) -> None:
    corpus_writer.documents("p", TEXTS)
    request = chain.request(TokenizerConfig(vocabulary_size=400, retrain=True, test=0.2, validation=0.2))
    assert str(chain.tokenizer(retrain=True).outcomes[0].key) == "bpe/"  # nothing was there to stand beside
    before = read_tokenizer(chain.root, "bpe")
    assert pending(request) == 1
    corpus_writer.documents("q", [text.upper() for text in TEXTS])
    for name in ("bpe-2", "bpe-3"):
        (outcome,) = chain.tokenizer(retrain=True).outcomes
        assert (outcome.status, outcome.manifest.source, outcome.manifest.config["name"]) == ("done", name, name)
    assert read_tokenizer(chain.root, "bpe") == before != read_tokenizer(chain.root, "bpe-2")
    (outcome,) = chain.tokenizer().outcomes
    assert (outcome.status, outcome.reason) == ("skipped", "tokenizer 'bpe' is frozen; another name makes another one")


def test_pattern_and_special_tokens_are_those_of_the_settings(chain: Any, corpus_writer: Any) -> None:
    corpus_writer.documents("p", TEXTS)
    chain.tokenizer(pattern="cl100k", end_of_text="<|end|>", special_tokens=("<|user|>", "<|tool|>"))
    frozen = read_tokenizer(chain.root, "bpe")
    described = json.loads(frozen.content)
    assert [(one["content"], one["id"]) for one in described["added_tokens"]] == [
        ("<|end|>", frozen.vocabulary_size - 3),
        ("<|user|>", frozen.vocabulary_size - 2),
        ("<|tool|>", frozen.vocabulary_size - 1),
    ]
    assert frozen.end_of_text == frozen.vocabulary_size - 3
    (ids,) = frozen.encoder().encode(["1234567 <|user|>"])
    assert max(ids) < frozen.end_of_text
    longest = max(len(token) for token in frozen.encoder().token_bytes or [] if token.isdigit())
    assert longest <= 3  # runs of digits are cut after three
    assert chain.tokenize(test=0.0, validation=0.0).outcomes[0].manifest.counts["tokens_train"] > 0
    with pytest.raises(ConfigError, match=r"tokenizer.pattern '\|\(' is no regular expression: .*; give one, or gpt2"):
        chain.tokenizer(name="bad", pattern="|(")


def test_weights_draw_sources_and_languages_more_often_and_fertility_is_told_for_each(
    chain: Any, corpus_writer: Any
) -> None:
    for source in ("books", "web"):
        rows = []
        for number, text in enumerate(f"{source} {text}" for text in TEXTS):
            content, language = content_hash(text), "de" if number % 2 else "en"
            row = {"document_id": document_id(source, "", content), "content_hash": content, "text": text}
            rows.append({**row, "source": source, "partition": "p", "language": language})
        corpus_writer.tables(PartitionKey(source, "p"), {"documents": rows})
    for weights, most in (
        ({"source_weights": {"books": 20.0}}, ("books", None)),
        ({"language_weights": {"de": 20.0, "en": 1.0}}, (None, "de")),
    ):
        name = "-".join(weights)
        notes = chain.tokenizer(name=name.replace("_", "-"), sample_bytes=2000, **weights).outcomes[0].manifest.notes
        drawn = {(row["source"], row["language"]): row["documents"] for row in notes["fertility_by_language"]}
        mine = sum(n for (source, language), n in drawn.items() if most in ((source, None), (None, language)))
        assert mine > 0.75 * sum(drawn.values())
        assert {row["source"] for row in notes["fertility"]} == {source for source, _ in drawn}
    never = chain.tokenizer(name="never", source_weights={"web": 0.0}).outcomes[0].manifest.notes
    assert [row["source"] for row in never["fertility"]] == ["books"]
    with pytest.raises(TooLittleTextError, match="or give some source and language a weight"):
        chain.tokenizer(name="nothing", source_weights={"web": 0.0, "books": 0.0})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"special_tokens": ["<|endoftext|>"]}, "end_of_text and special_tokens name a token twice; give each once"),
        ({"vocabulary_size": 257, "special_tokens": ["a"]}, "256 bytes and 2 special tokens need as many ids; raise"),
        ({"pattern": "gpt4"}, "give gpt2, cl100k, o200k, or a regular expression"),
    ],
)
def test_settings_that_do_not_go_together_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(TokenizerConfig, **settings)
