from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import flows.launch
from flows.cli.main import app
from flows.launch import ChildResult
from flows.tuning_report.page import render_study, write_tuning_page
from schemas.errors import InputError
from training.tuning.results import StudyRows, TrialRow, write_rows


def row(number: int, rate: float, losses: list[float], state: str = "complete", **values: int) -> TrialRow:
    about = {"number": number, "state": state, "values": {"learning_rate": rate, **values}, "parameters": 123_456}
    reason = "" if state == "complete" else f"ended after check {len(losses)} of 3, others were better"
    return TrialRow.model_validate(
        {**about, "losses": dict(enumerate(losses, 1)), "loss": losses[-1] if losses else None, "reason": reason}
    )


ROWS = [
    row(0, 1e-3, [5.0, 4.2, 4.1], batch=8, width=64),
    row(1, 3e-3, [4.9, 3.9, 3.7654], batch=16, width=64),
    row(2, 5e-2, [7.7], "pruned", batch=16, width=64),
    row(3, 5e-2, [], "failed", batch=8, width=64),
]


@pytest.fixture
def study(tmp_path: Path) -> str:
    write_rows(str(tmp_path), StudyRows(mixture="main", tokens=300_000, planned=9, rows=ROWS))
    return str(tmp_path)


def test_the_page_names_the_best_and_every_trial_with_its_end(study: str):
    page = render_study(study)
    assert "Learning rate 3.00e-03, batch 16, width 64" in page
    assert "4 of 9 trials on 300k tokens each, 1 ended early" in page
    assert "with a loss of 3.7654 nats a token" in page
    assert "ended after check 1 of 3, others were better" in page
    order = re.findall(r'<tr[^>]*><td class="n">(\d+)</td>', page)
    assert order == ["2", "1", "3", "4"], "whole trials by loss, then the others"
    assert f"corpusmill train --config {study}/best.toml" in page


def test_its_plots_are_in_the_page_and_nothing_is_asked_for(study: str):
    page = render_study(study)
    assert page.count("<svg") == 2
    assert "Loss over learning rate" in page
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert "<script" not in page
    assert "mathdefault" not in page, "ticks are numbers"
    assert ">0.002<" in page.replace("\n", "")
    assert page == render_study(study)


def test_a_study_without_a_whole_trial_has_no_page(tmp_path: Path):
    with pytest.raises(InputError, match=r"no study in .* \(it has no trials.json\)"):
        write_tuning_page(str(tmp_path))
    write_rows(str(tmp_path), StudyRows(mixture="main", tokens=1, planned=1, rows=ROWS[2:]))
    with pytest.raises(InputError, match=r"no trial of the study in .* came to its end"):
        write_tuning_page(str(tmp_path))


@pytest.mark.parametrize("out", [["--out", "{}"], ["--out={}"]], ids=["apart", "joined"])
def test_the_command_draws_the_page_once_the_trials_are_done(
    study: str, monkeypatch: pytest.MonkeyPatch, out: list[str]
):
    codes = iter([1, 0])
    monkeypatch.setattr(
        flows.launch,
        "run_child",
        lambda *_given, **_named: ChildResult(exit_code=next(codes), seconds=0.0, peak_memory_bytes=0),
    )
    words = ["tune", "--root", "r", "--mixture", "main", *(word.format(study) for word in out)]
    page = Path(study) / "tuning.html"
    assert CliRunner().invoke(app, words).exit_code == 1
    assert not page.exists()
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert f"the trials are drawn in {page}" in done.stderr
    assert page.read_text().startswith("<!doctype html>")
