from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.report.costs import read_costs, read_receipts
from flows.report.duplicates import _passages, read_duplicates
from flows.report.facts import read_facts
from flows.report.funnel import read_funnel
from flows.report.training_facts import read_finetuning, read_training
from schemas.corpus_manifests import CorpusManifests
from schemas.corpus_root import CorpusRoot
from schemas.errors import InputError
from schemas.manifest import Manifest


def test_funnel_accounts_for_every_item(whole):
    root, _, _ = whole
    funnel = read_funnel(CorpusManifests.read(root))
    assert funnel is not None
    assert funnel.items == 40 + 4 + 1
    # The page that broke two rules counts under the first of them, once.
    assert [(step.kind, step.reason, step.removed) for step in funnel.steps] == [
        ("dead", "truncated-record", 1),
        ("dropped", "language", 2),
        ("dropped", "length", 2),
        ("duplicate", "exact copy", 2),
        ("duplicate", "near copy", 1),
    ]
    assert funnel.items - sum(step.removed for step in funnel.steps) == funnel.kept == 37
    assert funnel.documents == 40


def test_funnel_without_deduplication(documents_root: CorpusRoot):
    funnel = read_funnel(CorpusManifests.read(documents_root))
    assert funnel is not None
    assert not funnel.deduplicated
    assert funnel.kept == funnel.documents == 40


def test_rare_reasons_are_added_up():
    counts = {"items": 100, **{f"dropped.rule-{number:02d}": number for number in range(16)}}
    manifest = Manifest(
        stage="clean",
        stage_version=1,
        source="s",
        partition="p",
        fingerprint="0",
        config={},
        inputs=(),
        tables={},
        counts=counts,
    )
    funnel = read_funnel(CorpusManifests((manifest,)))
    assert funnel is not None
    assert [step.removed for step in funnel.steps] == [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 1 + 2 + 3]
    assert funnel.steps[-1].reason == "3 other reasons"
    assert funnel.kept == 100 - sum(range(16))


def test_duplicates_and_their_example(whole):
    duplicates = read_duplicates(whole[0])
    assert duplicates is not None
    assert (duplicates.exact, duplicates.near, duplicates.by_url) == (2, 1, 1)
    assert duplicates.sizes == {2: 1, 4: 1}
    pair = duplicates.example
    assert pair is not None
    assert pair.level == "near"
    changed = {part.text for part in pair.removed_text if not part.shared}
    assert changed == {"method"}
    assert {part.text for part in pair.kept_text if not part.shared} == {"function"}


@given(st.text(max_size=400), st.text(max_size=400))
def test_passages_are_the_text_itself(text: str, other: str):
    passages = _passages(text, other)
    whole = "".join(part.text for part in passages)
    assert text.startswith(whole.removeprefix("… ").removesuffix(" …")) or "… " in whole
    assert all(part.shared for part in _passages(text, text))


def test_a_manifest_in_work_does_not_count(documents_root: CorpusRoot):
    content = documents_root.folder.read("documents/pydoc/2026-11/manifest.json")
    documents_root.folder.child(".work/clean/pydoc/2026-12").put_whole("manifest.json", content)
    assert len(CorpusManifests.read(documents_root).units) == 1


def test_costs_come_from_receipts_where_a_flow_ran(whole):
    root, run, finetuned = whole
    facts = read_facts(root.url, run, finetuned)
    assert [step.step for step in facts.costs.steps] == ["clean", "dedup", "digest", "pretrain", "evaluate", "finetune"]
    assert facts.costs.seconds == pytest.approx(270.8)
    assert facts.digest == "ab" * 32


def test_costs_come_from_manifests_and_logs_elsewhere(whole):
    root, run, finetuned = whole
    root.folder.child("steps").remove_tree()
    assert read_receipts(root) == {}
    costs = read_costs({}, CorpusManifests.read(root), read_training(run), read_finetuning(finetuned))
    assert {step.step: step.seconds for step in costs.steps} == pytest.approx(
        {
            "clean": 42.0,
            "dedup": 1.5,
            "tokenizer": 1.5,
            "tokenize": 1.5,
            "pretrain": 120.0,
            "evaluate": 12.0,
            "finetune": 61.0,
        }
    )
    assert costs.steps[0].peak_bytes == 300_000_000
    assert read_facts(root.url).digest is None


def test_tokens_by_source_and_split(whole):
    (tokens,) = read_facts(whole[0].url).tokens
    assert tokens.tokens == {"pydoc": {"train": 120_000, "validation": 6_000, "test": 7_000}}
    assert tokens.documents["pydoc"]["test"] == 2
    assert tokens.total == 133_000


def test_a_run_that_was_killed_is_read_so_far(whole):
    _, run, _ = whole
    with (Path(run) / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 301, "los')
    training = read_training(run)
    assert training is not None
    assert training.steps[-1]["step"] == 300
    assert [row["step"] for row in training.validations] == [50, 100, 150, 200, 250, 300]
    assert training.seconds == pytest.approx(120.0)


def test_newest_scores_of_a_suite_count(whole):
    _, run, _ = whole
    scores = Path(run) / "scores"
    newest = json.loads((scores / "heldout-step-300.json").read_text())
    older = {**newest, "step": 100, "scores": []}
    (scores / "heldout-step-100.json").write_text(json.dumps(older))
    (scores / "other-step-100.json").write_text(json.dumps({"of": "another version"}))
    training = read_training(run)
    assert training is not None
    assert [(result.suite, result.step) for result in training.results] == [("heldout", 300)]
    assert training.test_loss is not None
    assert training.test_loss.others["bigram_loss"] == 4.6


def test_fine_tuning_shows_the_first_answers(whole):
    finetuning = read_finetuning(whole[2])
    assert finetuning is not None
    assert len(finetuning.answers) == 6
    assert {change.name: change.change.value for change in finetuning.changes}["exact_match"] == 0.21


def test_what_is_not_there_is_none(tmp_path: Path):
    assert read_training(None) is None
    assert read_training(str(tmp_path)) is None
    assert read_finetuning(None) is None
    assert read_finetuning(str(tmp_path)) is None


def test_no_corpus_is_said_in_a_line(tmp_path: Path):
    with pytest.raises(InputError, match=r"no corpus in .*: no stage has finished there; give the folder of a corpus"):
        read_facts(str(tmp_path))
