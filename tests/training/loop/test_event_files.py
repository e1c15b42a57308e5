from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from schemas.errors import ConfigError
from training.loop.prepare import PreparedRun
from training.loop.run_log import read_log
from training.loop.train import train

Prepare = Callable[..., PreparedRun]


def read_back(run: str) -> EventAccumulator:
    """What TensorBoard itself reads from a run's event files."""
    found = EventAccumulator(str(Path(run) / "tensorboard"))
    found.Reload()
    return found


def test_tensorboard_reads_what_the_json_lines_say_before_and_after_a_resume(prepared: Prepare, run_folder: str):
    settings = {"steps": 9, "validation_every": 3, "checkpoint_every": 3, "tensorboard": True}
    train(prepared(**settings))
    for step in (6, 9):
        shutil.rmtree(Path(run_folder) / "checkpoints" / f"step-{step:06d}", ignore_errors=True)
    train(prepared(**settings))
    rows, found = read_log(run_folder, "metrics.jsonl"), read_back(run_folder)
    tags = found.Tags()["scalars"]
    assert {"loss", "learning_rate", "grad_norm", "goodput", "mfu", "mfu_windowed", "tokens_per_second"} <= set(tags)
    for tag in ("loss", "learning_rate", "validation_loss"):
        expected = [(row["step"], row[tag]) for row in rows if tag in row]
        events = found.Scalars(tag)
        assert [one.step for one in events] == [step for step, _ in expected]
        assert [one.value for one in events] == pytest.approx([value for _, value in expected], rel=1e-6)
    last = found.Scalars("validation_loss_by_source/books")[-1]
    assert (last.step, last.value) == (9, pytest.approx(rows[-1]["validation_loss_by_source"]["books"], rel=1e-6))


def test_a_run_without_the_setting_writes_none(prepared: Prepare, run_folder: str):
    train(prepared(steps=2, warmup_tokens=0))
    assert not (Path(run_folder) / "tensorboard").exists()


def test_a_missing_package_is_named_before_the_first_step(
    prepared: Prepare, run_folder: str, monkeypatch: pytest.MonkeyPatch
):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboard" else real(name))
    run = prepared(steps=2, warmup_tokens=0, tensorboard=True)
    with pytest.raises(ConfigError, match=r"the package tensorboard is not installed; install corpusmill\[tensorboard"):
        train(run)
    assert read_log(run_folder, "metrics.jsonl") == []
