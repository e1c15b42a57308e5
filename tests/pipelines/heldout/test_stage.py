from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest, StageResult
from pipelines.heldout.stage import STAGE_VERSION, run
from schemas.configs.heldout import HeldoutConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError
from schemas.identity import content_hash, document_id
from schemas.split import split_of
from schemas.suites import read_suite
from schemas.tasks import GenerationItem, MultipleChoiceItem, Pair, read_rows

SMALL: dict[str, Any] = {"test": 0.3, "validation": 0.2, "items": 12, "examples": 10, "least_items": 3}
SOME_NOUNS = "apple river stone cloud forest engine window garden letter number signal bridge"
SOME_VERBS = "moves holds breaks finds opens follows carries measures answers repeats"
NOUNS, VERBS = SOME_NOUNS.split(), SOME_VERBS.split()


def prose(number: int, sentences: int = 12) -> str:
    rng = np.random.default_rng(number)
    said = []
    for _ in range(sentences):
        one, two, three = rng.choice(NOUNS, 3)
        first, second = rng.choice(VERBS, 2)
        said.append(f"The {one} {first} a {two} while document {number} {second} every small {three}.")
    return "\n".join(" ".join(said[start : start + 3]) for start in range(0, sentences, 3))


def page(number: int) -> str:
    rng = np.random.default_rng(number)
    lines = [f"module{number}", "", f"class Thing{number}(object)"]
    for _ in range(8):
        name, *arguments = rng.choice(NOUNS, 3)
        lines += [
            f"{name}_{number}(self, {', '.join(arguments)}=None)",
            f"Return {name} {arguments[0]} {arguments[1]} of this thing now.",
            "",
        ]
    return "\n".join(lines)


def held(root: CorpusRoot, **settings: Any) -> StageResult:
    config = HeldoutConfig(**{**SMALL, **settings})
    return run(StageRequest(root=root, config=config, engine=Engine()))


def folder(root: CorpusRoot, name: str = "heldout") -> Path:
    return Path(root.folder.child("heldout", name).path())


def contents(root: CorpusRoot, name: str = "heldout") -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder(root, name).iterdir() if p.name != "manifest.json"}


def split_texts(texts: list[str]) -> dict[str, str]:
    """Split of each document by the hash of its content, in hexadecimal."""
    return {content_hash(text).hex(): split_of(content_hash(text), 0.3, 0.2) for text in texts}


@pytest.mark.parametrize("make", [prose, page])
def test_a_whole_suite_comes_from_the_right_splits(corpus_writer, corpus_root: CorpusRoot, make) -> None:
    texts = [make(number) for number in range(40)]
    corpus_writer.documents("one", texts, files=2)
    outcome = held(corpus_root).outcomes[0]
    counts, splits = outcome.manifest.counts, split_texts(texts)
    assert sum(counts[f"documents_{split}"] for split in ("train", "validation", "test")) == 40
    suite = read_suite(str(folder(corpus_root) / "suite.toml"))
    kinds = {"signature"} if make is page else {"ending"}
    assert {task.name for task in suite.tasks} == {
        "perplexity",
        "continuation",
        "word-order",
        "last-word",
        "rewrite",
        *kinds,
    }
    assert counts["tasks"] == len(suite.tasks)
    for task in suite.tasks:
        if task.items is None:
            continue
        kind = MultipleChoiceItem if task.kind == "multiple_choice" else GenerationItem
        items = read_rows(task.items, kind)
        assert len(items) == counts[f"items_{task.name}"] <= 12
        assert {splits[item.group or ""] for item in items} == {"test"}
        if task.examples is not None:
            assert {splits[example.group or ""] for example in read_rows(task.examples, kind)} == {"train"}
            assert task.shots == (0, 1, 4)
    for split in ("train", "validation", "test"):
        rows = read_rows(str(folder(corpus_root) / f"pairs-{split}.jsonl"), Pair)
        assert len(rows) == counts[f"pairs_{split}"] > 0
        assert {splits[row.group or ""] for row in rows} == {split}


def test_shares_name_their_split_and_items_their_context(corpus_writer, corpus_root: CorpusRoot) -> None:
    corpus_writer.documents("one", [prose(number) for number in range(40)])
    held(corpus_root)
    (item, *_) = read_rows(str(folder(corpus_root) / "continuation.jsonl"), MultipleChoiceItem)
    right = item.choices[item.answer]
    texts = {content_hash(prose(number)).hex(): prose(number) for number in range(40)}
    assert item.context + right in texts[item.group or ""]
    others = [text for text in item.choices if text != right]
    assert len(others) == 3
    assert not any(item.context + text in texts[item.group or ""] for text in others)


def test_no_test_pair_is_a_training_pair(corpus_writer, corpus_root: CorpusRoot) -> None:
    shared = "\n".join(f"shared_{i}(self, value={i})\nSome words." for i in range(10))
    corpus_writer.documents("one", [f"{shared}\nonly_{number}(self)\nText.\n" for number in range(30)])
    held(corpus_root)
    pairs = {
        split: {(p.prompt, p.answer) for p in read_rows(str(folder(corpus_root) / f"pairs-{split}.jsonl"), Pair)}
        for split in ("train", "validation", "test")
    }
    assert ("name: shared_3\nsignature:", "(self, value=3)") in pairs["train"]
    assert not pairs["train"] & (pairs["test"] | pairs["validation"])
    new = [prompt for prompt, _ in pairs["test"] | pairs["validation"] if prompt.endswith("signature:")]
    assert all("only_" in prompt for prompt in new)
    prompts = {item.prompt for item in read_rows(str(folder(corpus_root) / "signature.jsonl"), GenerationItem)}
    assert all(prompt.startswith("only_") for prompt in prompts)


def test_order_files_partitions_and_names_do_not_matter(corpus_writer, corpus_root: CorpusRoot, tmp_path: Path) -> None:
    texts = {f"doc-{number}": prose(number) for number in range(30)}
    corpus_writer.documents("one", texts)
    held(corpus_root)
    other = CorpusRoot(str(tmp_path / "other"))
    writer = type(corpus_writer)(other)
    names = list(reversed(texts))
    writer.documents("b", {name: texts[name] for name in names[:7]}, files=4)
    writer.documents("a", {name: texts[name] for name in names[7:]}, source="elsewhere")
    held(other)
    assert contents(corpus_root) == contents(other)


def test_removed_duplicates_give_nothing(corpus_writer, corpus_root: CorpusRoot) -> None:
    texts = {f"doc-{number}": prose(number) for number in range(30)}
    key = corpus_writer.documents("one", texts)
    first = held(corpus_root).outcomes[0].manifest
    gone = [document_id("web", name, content_hash(text)) for name, text in list(texts.items())[:10]]
    corpus_writer.duplicates(key, gone)
    second = held(corpus_root).outcomes[0]
    assert second.status == "done"
    documents = sum(second.manifest.counts[f"documents_{split}"] for split in ("train", "validation", "test"))
    assert documents == 20
    assert second.manifest.fingerprint != first.fingerprint
    removed = {content_hash(text).hex() for text in list(texts.values())[:10]}
    rows = b"".join(contents(corpus_root).values()).decode()
    assert not any(group in rows for group in removed)


def test_a_finished_suite_is_skipped_until_a_setting_changes(corpus_writer, corpus_root: CorpusRoot) -> None:
    corpus_writer.documents("one", [prose(number) for number in range(30)])
    assert held(corpus_root).outcomes[0].status == "done"
    before = contents(corpus_root)
    assert held(corpus_root).outcomes[0].status == "skipped"
    assert held(corpus_root, seed=1).outcomes[0].status == "done"
    assert contents(corpus_root) != before
    assert held(corpus_root).outcomes[0].status == "done"
    assert contents(corpus_root) == before
    assert held(corpus_root, name="second").outcomes[0].key == PartitionKey("second", "")
    assert set(contents(corpus_root, "second")) == set(before)


def test_no_test_document_leaves_perplexity_alone_and_says_so(corpus_writer, corpus_root: CorpusRoot) -> None:
    corpus_writer.documents("one", [prose(number) for number in range(5)])
    manifest = held(corpus_root, test=0.0, validation=0.0).outcomes[0].manifest
    assert [task.name for task in read_suite(str(folder(corpus_root) / "suite.toml")).tasks] == ["perplexity"]
    assert manifest.counts["pairs_test"] == 0
    assert manifest.counts["pairs_train"] > 0
    assert "none of 5 kept documents falls into the test split" in manifest.notes["notes"][0]


@pytest.mark.parametrize("texts", [[], ["x"], ["One document of few words. It says little."], ["\n" * 50]])
def test_tiny_corpora_give_notes_and_no_error(corpus_writer, corpus_root: CorpusRoot, texts: list[str]) -> None:
    corpus_writer.documents("one", texts)
    for share in (0.0, 0.999):
        manifest = held(corpus_root, test=share, validation=0.0).outcomes[0].manifest
        assert manifest.counts["tasks"] == 1
        assert any("nothing to fine-tune on" in note for note in manifest.notes["notes"])
        assert len(manifest.notes["notes"]) == 2


def test_tasks_of_few_items_are_left_out_with_a_note(corpus_writer, corpus_root: CorpusRoot) -> None:
    corpus_writer.documents("one", [prose(number) for number in range(20)])
    manifest = held(corpus_root, least_items=12, per_document=1).outcomes[0].manifest
    assert manifest.counts["tasks"] == 1
    notes = manifest.notes["notes"]
    assert any(note.startswith("too little can be cut from ") for note in notes)
    assert any("task last-word is left out: " in note and "fewer than 12" in note for note in notes)


def test_few_test_documents_borrow_wrong_answers_and_shots_follow_the_examples(
    corpus_writer, corpus_root: CorpusRoot
) -> None:
    texts = [prose(number) for number in range(60)]
    splits = split_texts(texts)
    test = [text for text in texts if splits[content_hash(text).hex()] == "test"]
    train = [text for text in texts if splits[content_hash(text).hex()] == "train"]
    corpus_writer.documents("one", [test[0], *train[:4]])
    held(corpus_root, examples=2)
    items = read_rows(str(folder(corpus_root) / "continuation.jsonl"), MultipleChoiceItem)
    borrowed = [c for item in items for i, c in enumerate(item.choices) if i != item.answer]
    assert len(items) >= 3
    assert any(any(choice in text for text in train[:4]) for choice in borrowed)
    tasks = {task.name: task for task in read_suite(str(folder(corpus_root) / "suite.toml")).tasks}
    assert tasks["last-word"].shots == (0, 1)


def test_without_documents_the_stage_before_is_named(corpus_root: CorpusRoot) -> None:
    with pytest.raises(InputError, match=r"no documents of any partition in .*; run the stage that writes documents"):
        held(corpus_root)


def test_rows_are_plain_json(corpus_writer, corpus_root: CorpusRoot) -> None:
    corpus_writer.documents("one", [prose(number) + "\nÜber élan 🐕 and more words." for number in range(30)])
    held(corpus_root)
    for line in (folder(corpus_root) / "continuation.jsonl").read_text(encoding="utf-8").splitlines():
        assert set(json.loads(line)) == {"id", "context", "choices", "answer", "group"}


# Digest of what the stage writes about twelve texts of prose and twelve pages, by version: a change of one of them
# without the other is a mistake.
GOLDEN = {2: "e40a65406deff1e19499e027d866e975848986761315c3918dacce8f07a3cec1"}


def test_output_changes_only_with_the_version(corpus_writer, corpus_root: CorpusRoot) -> None:
    corpus_writer.documents("one", [make(number) for make in (prose, page) for number in range(12)])
    manifest = held(corpus_root).outcomes[0].manifest
    assert {STAGE_VERSION: manifest.tables["heldout"].digest} == GOLDEN
