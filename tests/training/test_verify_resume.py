"""`train --verify-resume`, as a user calls it, and what it says where something is not equal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.corpus_root import CorpusRoot
from schemas.errors import StageError
from training import verify_resume as module
from training.cli import main
from training.verify_resume import STEPS, verify_resume

SHAPE = "{context=32, layers=2, heads=2, width=32, band=8, residual_dropout=0.1, attention_dropout=0.1}"
SETTINGS = [f"model={SHAPE}", "batch=8", "precision=fp32", "threads=1"]


@pytest.mark.slow
def test_a_run_killed_twice_is_proven_to_end_as_one_that_was_not(
    make_corpus: Callable[..., Any], corpus_root: CorpusRoot, capfd: pytest.CaptureFixture[str]
) -> None:
    make_corpus()
    sets = [part for setting in SETTINGS for part in ("--set", setting)]
    assert main(["train", "--root", corpus_root.url, "--mixture", "main", *sets, "--verify-resume", "--json"]) == 0
    told = capfd.readouterr()
    found = json.loads(told.out.splitlines()[-1])
    assert (found["verified"], found["steps"], found["kills"]) == (True, STEPS, 2)
    lines = [line for line in told.err.splitlines() if not line.startswith("step ")]
    assert lines[1:] == [
        "killed in step 5; the last checkpoint is of step 3",
        "killed while saving step 6; the last checkpoint is of step 3",
        "gone on to step 9",
        "losses of all 9 steps and the bytes of the last checkpoint are equal",
    ]


def pretend(monkeypatch: pytest.MonkeyPatch, loss: Callable[[Path, int], float], codes: Sequence[int]) -> None:
    """Have runs end at once, with losses and exit codes as given."""
    left = list(codes)

    def run(_module: Sequence[str], _options: Sequence[str], folder: Path) -> int:
        folder.mkdir(exist_ok=True)
        rows = [json.dumps({"step": step, "loss": loss(folder, step)}) + "\n" for step in range(1, STEPS + 1)]
        (folder / "metrics.jsonl").write_text("".join(rows))
        return left.pop(0)

    monkeypatch.setattr(module, "_run", run)


def test_the_first_step_that_differs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, lambda folder, step: 1.0 + (folder.name == "cut" and step >= 7), (0, -9, -9, 0))
    with pytest.raises(StageError, match=r"after a kill the losses are others from step 7 on \(of 9 and 9 steps\)"):
        verify_resume([])


def test_a_run_that_was_not_killed_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, lambda *_: 1.0, (0, 0, -9, 0))
    with pytest.raises(StageError, match="was to be killed in step 5 ended by itself; nothing is proven"):
        verify_resume([])


def test_a_run_that_fails_says_why(make_corpus: Callable[..., Any], corpus_root: CorpusRoot, capsys: Any) -> None:
    make_corpus()
    given = ["train", "--root", corpus_root.url, "--mixture", "main", "--set", "batch=999", "--verify-resume"]
    assert main(given) == 1
    assert "the run to compare with failed: corpusmill: train." in capsys.readouterr().err
