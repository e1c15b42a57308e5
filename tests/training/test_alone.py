"""`training` where nothing but its own libraries is installed, and killed in the middle of a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from processes import wait_until

from schemas.corpus_root import CorpusRoot
from schemas.run import latest_step
from training.cli import main
from training.loop.run_log import read_log

BLOCKED = """
import sys
for name in ("apache_beam", "prefect", "typer", "rich", "pipelines", "flows"):
    sys.modules[name] = None
"""
# The kill comes before this step or in it, however late it is sent.
HELD = """
import time
from training.loop import learner as module
real = module.train_step
def train_step(*given, **named):
    if named["step"] == {step}:
        time.sleep(600)
    return real(*given, **named)
module.train_step = train_step
"""
SETTINGS = {
    "model": "{context=32, layers=2, heads=2, width=32, band=8, residual_dropout=0.1, attention_dropout=0.1}",
    "batch": "8",
    "warmup_tokens": "512",
    "checkpoint_every": "5",
    "sample_every": "0",
    "progress_seconds": "0.1",
    "threads": "1",
}


def arguments(root: str, run: str, steps: int) -> list[str]:
    sets = [part for key, value in {**SETTINGS, "steps": steps}.items() for part in ("--set", f"{key}={value}")]
    return ["train", "--root", root, "--mixture", "main", "--run", run, *sets]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", f"{BLOCKED}\nfrom training.cli import main\n{code}"]


def test_it_trains_and_loads_without_the_rest_of_the_project(
    make_corpus, corpus_root: CorpusRoot, run_folder: str, repository: Path
) -> None:
    make_corpus()
    code = (
        f"assert main({arguments(corpus_root.url, run_folder, 6)!r}) == 0\n"
        "from training.checkpoints import load_model\n"
        f"print(load_model({run_folder!r}).step)\n"
        "from schemas.process_exit import leave\n"
        "leave(0)"
    )
    done = subprocess.run(python(code), cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "step 6/6  loss" in done.stderr
    assert done.stdout.splitlines()[-1] == "6"


def is_at(process: subprocess.Popen, run: str, step: int) -> bool:
    """Whether a step is done, or nothing more is going to be."""
    return process.poll() is not None or len(read_log(run, "metrics.jsonl")) >= step


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_same_loss_bit_for_bit(
    make_corpus, corpus_root: CorpusRoot, tmp_path: Path, repository: Path
) -> None:
    make_corpus()
    whole, cut = str(tmp_path / "whole"), str(tmp_path / "cut")
    assert main(arguments(corpus_root.url, whole, 50)) == 0
    for kill_after in (6, 17):
        code = f"{HELD.format(step=kill_after + 3)}\nmain({arguments(corpus_root.url, cut, 50)!r})"
        process = subprocess.Popen(python(code), cwd=repository, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_until(partial(is_at, process, cut, kill_after), f"step {kill_after}")
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
        assert (latest_step(cut) or 0) < 50
    assert main(arguments(corpus_root.url, cut, 50)) == 0
    one, two = (read_log(run, "metrics.jsonl") for run in (whole, cut))
    assert [row["step"] for row in two] == list(range(1, 51))
    assert [row["loss"] for row in one] == [row["loss"] for row in two]
    assert one[-1]["validation_loss"] == two[-1]["validation_loss"]
