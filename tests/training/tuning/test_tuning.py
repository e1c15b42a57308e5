"""Studies of a few small trials: what they choose, what they leave behind, and that a kill changes nothing."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from schemas.configs.base import load_config
from schemas.configs.train import TrainConfig
from schemas.corpus_root import CorpusRoot
from training.cli import main
from training.loop import learner
from training.loop.run_log import read_log
from training.model.gpt import GPT
from training.tuning.results import StudyRows, as_toml, best_of, read_rows

TRIALS, CHECKS = 7, 4
TUNE = {
    "trials": TRIALS,
    "tokens": 4096,
    "checks": CHECKS,
    "learning_rates": [1e-4, 1e-1],
    "batches": [4, 8],
    "layers": [1, 2],
    "widths": [16, 32],
    "never_pruned": 2,
}
TRAIN = {
    "model": "{context=32, layers=2, heads=2, width=32, band=8}",
    "precision": "fp32",
    "validation_windows": "4",
    "threads": "1",
}


def words(root: str, out: Path, **tune: Any) -> list[str]:
    sets = [part for key, value in {**TUNE, **tune}.items() for part in ("--set", f"{key}={value}")]
    sets += [part for key, value in TRAIN.items() for part in ("--train-set", f"{key}={value}")]
    return ["tune", "--root", root, "--mixture", "main", "--out", str(out), *sets]


@pytest.fixture(scope="module")
def corpus(tokenizer: Tokenizer, corpus_writer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    root = CorpusRoot(str(tmp_path_factory.mktemp("tuning") / "corpus"))
    corpus_writer(root, tokenizer)
    return root.url


@pytest.fixture(scope="module")
def study(corpus: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was never disturbed."""
    out = tmp_path_factory.mktemp("study") / "whole"
    assert main(words(corpus, out)) == 0
    return out


def test_a_study_keeps_a_row_of_each_trial_and_ends_bad_ones_early(study: Path):
    found = read_rows(str(study))
    assert [row.number for row in found.rows] == list(range(TRIALS))
    states = [row.state for row in found.rows]
    assert states[:2] == ["complete", "complete"], "never pruned"
    assert {"complete", "pruned"} == set(states)
    for row in found.rows:
        assert 1e-4 <= row.values["learning_rate"] <= 1e-1
        assert row.values["batch"] in TUNE["batches"]
        assert (row.parameters > 20_000) == (row.values["width"] == 32)
        if row.state == "complete":
            assert list(row.losses) == list(range(1, CHECKS + 1))
            assert row.loss == row.losses[CHECKS]
        elif not row.reason.startswith("as trial"):
            last = max(row.losses)
            assert last < CHECKS
            assert row.reason == f"ended after check {last} of {CHECKS}, others were better"
    assert len({json.dumps(row.values) for row in found.rows}) > 3


def test_the_best_trial_is_the_one_with_the_lowest_loss_and_its_settings_train(study: Path, corpus: str, capsys):
    best = best_of(read_rows(str(study)).rows)
    assert best is not None
    assert best.loss == min(row.loss for row in read_rows(str(study)).rows if row.state == "complete")
    path = str(study / "best.toml")
    config = load_config(TrainConfig, path)
    assert (config.batch, config.learning_rate) == (best.values["batch"], best.values["learning_rate"])
    assert (config.model.layers, config.model.width) == (best.values["layers"], best.values["width"])
    assert config.model.head_width == 16
    assert config.precision == "fp32", "what was given for every trial"
    run = str(study.parent / "trained")
    steps = ["--set", f"steps={4096 // (32 * config.batch)}", "--set", "sample_tokens=1"]
    assert main(["train", "--root", corpus, "--mixture", "main", "--run", run, "--config", path, *steps, "--json"]) == 0
    assert read_log(run, "metrics.jsonl")[-1]["validation_loss"] == pytest.approx(best.loss, rel=1e-6)
    assert [path.parent.name for path in study.glob("trials/*/checkpoints")], "of the best"
    assert len(list(study.glob("trials/*/checkpoints"))) == 1


def test_a_second_call_says_what_the_first_one_found(study: Path, corpus: str, capsys):
    before = (study / "trials.json").read_bytes()
    assert main([*words(corpus, study), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    best = best_of(read_rows(str(study)).rows)
    assert best is not None
    assert (told["trials"], told["best_trial"], told["best_loss"]) == (TRIALS, best.number + 1, best.loss)
    assert told["config"] == str(study / "best.toml")
    assert (study / "trials.json").read_bytes() == before


def test_more_trials_go_on_from_those_there_are(study: Path, corpus: str, tmp_path: Path):
    out = tmp_path / "grown"
    assert main(words(corpus, out, trials=3)) == 0
    first = read_rows(str(out)).rows
    assert [row.number for row in first] == [0, 1, 2]
    assert main(words(corpus, out)) == 0
    assert read_rows(str(out)) == read_rows(str(study))


@pytest.mark.slow
def test_a_study_killed_in_its_first_trial_ends_as_one_that_was_not(
    study: Path, corpus: str, tmp_path: Path, repository: Path
):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "training.killed_run", "step", "6", *words(corpus, out)]
    here = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=repository, env=here, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (out / "trials.json").exists()
    with (out / "study.journal").open("ab") as stream:
        stream.write(b'{"op_code": 4, "half')
    (out / "study.journal.lock").symlink_to("study.journal")  # as if it had been writing
    assert main(words(corpus, out)) == 0
    assert read_rows(str(out)) == read_rows(str(study))


def test_a_study_cut_off_again_and_again_ends_as_one_that_was_not(
    study: Path, corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out, real, left = tmp_path / "cut", learner.train_step, [0]

    def failing(*given: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise RuntimeError("power cut")
        return real(*given, **named)

    monkeypatch.setattr(learner, "train_step", failing)
    cuts = 0
    for steps in (19, 23, 30, 41, 10**9):
        left[0] = steps
        try:
            assert main(words(corpus, out)) == 0
        except RuntimeError:
            cuts += 1
    assert cuts >= 3
    assert read_rows(str(out)) == read_rows(str(study))


def test_a_trial_that_ends_the_process_three_times_is_given_up(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "dying"
    real, dying = learner.train_step, [True]

    def deadly(*given: Any, **named: Any) -> Any:
        if dying[0]:
            raise RuntimeError("no memory left")
        return real(*given, **named)

    monkeypatch.setattr(learner, "train_step", deadly)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="no memory left"):
            main(words(corpus, out, trials=2))
    dying[0] = False
    assert main(words(corpus, out, trials=2)) == 0
    rows = read_rows(str(out)).rows
    assert [row.state for row in rows] == ["failed", "complete"]
    assert rows[0].reason == "the process ended 3 times while it trained"


def test_where_no_trial_ends_well_the_study_says_why(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    forward = GPT.forward
    monkeypatch.setattr(GPT, "forward", lambda *given, **named: forward(*given, **named) * math.nan)
    assert main(words(corpus, tmp_path / "bad", trials=2)) == 1
    err = capsys.readouterr().err
    assert "no trial of 2 came to its end: step 1: loss nan, gradient norm nan; the weights of step 0 were kept" in err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"learning_rates": [1e-2, 1e-3]}, "tune.the settings together: learning_rates 0.01, 0.001: give two numbers"),
        ({"widths": [24]}, "tune.widths has 24, which is not a multiple of the head width 16; change it, or"),
        ({"tokens": 100}, "tune.tokens is 100: 0 steps of 4 x 32 tokens, and tune.checks is 4; raise tokens or lower"),
        ({"tokens": 10**9}, "tune.tokens is 1000000000, and mixture main has 12800; lower tokens, or mix with more"),
        ({"seed": 1}, "whole: tune.seed was 0 when this study began and is 1 now; give the old value to go on, or"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_tried_is_said_at_once(study: Path, corpus: str, changed: dict[str, Any], message: str, capsys):
    assert main(words(corpus, study, **changed)) == 2
    assert message in capsys.readouterr().err


def test_a_corpus_a_study_and_a_package_that_are_not_there_are_named(
    study: Path, corpus: str, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    assert main(words(str(tmp_path / "none"), study)) == 2
    assert "no corpus in" in capsys.readouterr().err
    with pytest.raises(Exception, match=r"no study in .*none \(it has no trials.json\); run `corpusmill tune --out"):
        read_rows(str(tmp_path / "none"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert main(words(corpus, study)) == 2
    assert r"tuning needs the package optuna; install corpusmill[tuning]" in capsys.readouterr().err


def test_settings_become_toml_and_back():
    settings = {"a": 1e-5, "b": 'say "é"\n', "c": True, "d": (1, 2), "e": {"f": 3, "g": ["x"]}, "none": None}
    told = tomllib.loads(as_toml(settings))["train"]
    assert told == {"a": 1e-5, "b": 'say "é"\n', "c": True, "d": [1, 2], "e": {"f": 3, "g": ["x"]}}


def test_equal_losses_prefer_the_earlier_trial(study: Path):
    rows = read_rows(str(study))
    row = rows.rows[0]
    later = row.model_copy(update={"number": 9})
    found = best_of(StudyRows(mixture="m", tokens=1, planned=2, rows=[later, row]).rows)
    assert found is not None
    assert found.number == 0
