from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.configs.evaluate import EvaluateConfig
from schemas.configs.model import ModelShape
from schemas.configs.train import TrainConfig
from schemas.errors import ConfigError, InputError
from schemas.storage import Folder
from training.evaluation.evaluate import evaluate
from training.evaluation.results import read_records, read_result
from training.loop.evaluations import Evaluations, require_whole_model
from training.loop.prepare import prepare_run
from training.loop.run_log import METRICS_NAME, read_log
from training.loop.train import train


@pytest.fixture
def suite(tmp_path: Path) -> str:
    rows = [{"id": str(i), "context": "the red", "choices": ["old", "cat dog"], "answer": i % 2} for i in range(6)]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = [{"id": str(i), "prompt": "the red old", "answers": ["small"]} for i in range(6)]
    (tmp_path / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in words))
    (tmp_path / "suite.toml").write_text(
        'name = "often"\n[[tasks]]\nname = "choice"\nkind = "multiple_choice"\nitems = "items.jsonl"\n'
        '[[tasks]]\nname = "word"\nkind = "cloze"\nitems = "words.jsonl"\n'
    )
    return str(tmp_path / "suite.toml")


def settings(**more: Any) -> TrainConfig:
    common: dict[str, Any] = {
        "model": ModelShape(context=32, layers=1, heads=2, width=16, band=8),
        "batch": 4,
        "steps": 12,
        "warmup_tokens": 100,
        "precision": "fp32",
        "sample_tokens": 2,
        "validation_every": 0,
        "sample_every": 0,
        "checkpoint_every": 4,
        "keep_checkpoints": 9,
    }
    return TrainConfig(**{**common, **more})


def test_scores_taken_while_training_are_those_of_the_checkpoints(make_corpus, corpus_root, run_folder, suite) -> None:
    make_corpus()
    plain = settings()
    train(prepare_run(plain, corpus_root.url, "main", run_folder + "-plain"))
    config = settings(evaluate_every=4, evaluate_suite=suite, evaluate_share=0.9)
    train(prepare_run(config, corpus_root.url, "main", run_folder))
    losses = [[row["loss"] for row in read_log(run, METRICS_NAME)] for run in (run_folder, run_folder + "-plain")]
    assert losses[0] == losses[1]
    folder = Folder(run_folder).child("scores")
    found = {step: read_result(folder, f"often-step-{step}") for step in (4, 8, 12)}
    for step, stored in found.items():
        assert stored is not None, step
        records = list(read_records(folder, f"often-step-{step}"))
        assert len(records) == 12
        # The command finds nothing left to do; without the stored result it gets the same.
        asked = EvaluateConfig(step=step, limit=100, untrained=False, bigram=False)
        assert evaluate(run_folder, suite, asked) == stored
        folder.remove(f"often-step-{step}.json")
        again = evaluate(run_folder, suite, asked)
        assert again.scores == stored.scores
        assert list(read_records(folder, f"often-step-{step}")) == records
    assert found[4] is not None
    assert found[12] is not None
    assert found[4].scores != found[12].scores
    assert sum(row["evaluation_seconds"] for row in read_log(run_folder, METRICS_NAME)) > 0


class Clock:
    """Seconds that pass only where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_training_stands_still_for_its_share_and_one_slice(
    make_corpus, corpus_root, run_folder, suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_corpus()
    prepared = prepare_run(
        settings(evaluate_every=1, evaluate_suite=suite, evaluate_share=0.1), corpus_root.url, "main", run_folder
    )
    clock, said = Clock(), []
    monkeypatch.setattr("training.loop.evaluations.time", clock)

    def slices():
        for _ in range(20):
            clock.now += 1.0
            yield
        return None

    monkeypatch.setattr("training.loop.evaluations.evaluation", lambda *_: slices())
    from training.model.gpt import GPT

    evaluations = Evaluations(prepared, None, said.append)
    model, trained, spent, steps_with_slices = GPT(prepared.description.model), 0.0, 0.0, 0
    evaluations.begin(model, 1)
    for _ in range(400):
        trained += 0.7
        evaluations.go_on(0.7)
        now = evaluations.spent_seconds()
        assert now <= 2.0
        steps_with_slices += now > 0
        spent += now
        # A tenth of all time, and one slice.
        assert spent <= 0.1 * (trained + spent) + 1.0
    assert spent == pytest.approx(20, abs=1)
    assert steps_with_slices >= 15
    evaluations.begin(model, 2)
    evaluations.begin(model, 3)
    (line,) = said
    assert line.startswith("step 3 is not evaluated, as step 2 is not done; raise evaluate_share or evaluate_every")
    evaluations.finish()
    evaluations.begin(model, 4)
    assert len(said) == 1


def test_mistakes_show_before_the_first_step(make_corpus, corpus_root, run_folder, suite) -> None:
    make_corpus()
    path = Path(suite).with_name("words.jsonl")
    path.write_text("{}\n")
    prepared = prepare_run(settings(evaluate_every=4, evaluate_suite=suite), corpus_root.url, "main", run_folder)
    with pytest.raises(InputError, match=r"words\.jsonl line 1: .*Field required"):
        train(prepared)
    assert read_log(run_folder, METRICS_NAME) == []
    with pytest.raises(ValueError, match="evaluate_every is 4 without a suite; set evaluate_suite"):
        settings(evaluate_every=4)
    with pytest.raises(ConfigError, match="evaluate_every needs the whole model on one rank, and here it is in shards"):
        require_whole_model(prepared.config, True)
    require_whole_model(prepared.config, False)
