"""`corpusmill train` with many processes: started, gone on with by another number of them, stopped, killed, hung."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import alive, wait_until

from schemas.corpus_root import CorpusRoot
from schemas.run import checkpoint_steps, latest_step
from training.cli import main
from training.loop.run_log import read_log

SETTINGS = {
    "model": "{context=32, layers=2, heads=2, width=32, band=8, residual_dropout=0.1}",
    "batch": "8",
    "micro_batch": "2",
    "warmup_tokens": "512",
    "precision": "fp32",
    "sample_every": "0",
    "sample_tokens": "3",
    "validation_windows": "4",
    "checkpoint_every": "4",
}


def arguments(root: str, run: str, *more: str, **settings: str) -> list[str]:
    sets = [part for key, value in {**SETTINGS, **settings}.items() for part in ("--set", f"{key}={value}")]
    return ["train", "--root", root, "--mixture", "main", "--run", run, *sets, *more]


def start(options: list[str], repository: Path, code: str = "", **surroundings: str) -> subprocess.Popen[str]:
    """The command as a user starts it; `code` runs in each process before it."""
    begin = f"{code}\nimport sys\nfrom training.__main__ import main\nsys.exit(main())"
    command = [sys.executable, "-c", begin, *options] if code else [sys.executable, "-m", "training", *options]
    here = {**os.environ, "OMP_NUM_THREADS": "1", **surroundings}
    return subprocess.Popen(
        command, cwd=repository, env=here, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_two_processes_train_and_one_and_then_two_go_on(
    make_corpus: Callable[..., Any], corpus_root: CorpusRoot, tmp_path: Path, repository: Path
) -> None:
    make_corpus()
    one, many = str(tmp_path / "one"), str(tmp_path / "many")
    assert main(arguments(corpus_root.url, one, steps="12")) == 0
    stopping = arguments(corpus_root.url, many, "--nproc", "2", "--json", steps="12", parallel="fsdp")
    process = start(stopping, repository)
    wait_until(lambda: process.poll() is not None or len(read_log(many, "metrics.jsonl")) >= 2, "two steps")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    if process.returncode:  # else it was done first, on a fast machine
        assert process.returncode == 1
        assert "stopped by SIGTERM at step" in err
        assert "a checkpoint is saved; run the same command again" in err
        assert "Traceback" not in err
    stood = latest_step(many) or 0
    assert stood >= 2
    half = main(arguments(corpus_root.url, many, steps="12"))
    assert half == 0
    assert [row["step"] for row in read_log(many, "metrics.jsonl")] == list(range(1, 13))
    for a, b in zip(read_log(one, "metrics.jsonl"), read_log(many, "metrics.jsonl"), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=2e-5)
    done = start(stopping, repository)
    out, err = done.communicate(timeout=300)
    assert (done.returncode, json.loads(out.splitlines()[-1])["status"]) == (0, "finished before"), err


HANGS = """
import os, time
from training.data.batches import BatchReader
real = BatchReader.take
def take(self, count, rank=0, world_size=1):
    if rank == 1 and self.state()["sample"] >= 16:
        time.sleep(600)
    return real(self, count, rank, world_size)
BatchReader.take = take
"""


@pytest.mark.slow
def test_a_rank_that_hangs_is_found_and_says_where_it_stands(
    make_corpus: Callable[..., Any], corpus_root: CorpusRoot, tmp_path: Path, repository: Path
) -> None:
    make_corpus()
    run = str(tmp_path / "run")
    path = tmp_path / "hanging.py"
    path.write_text(f"{HANGS}\nimport sys\nfrom training.cli import main\nsys.exit(main())")
    options = arguments(corpus_root.url, run, steps="12", hang_seconds="10")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--", str(path)]
    here = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository)}
    done = subprocess.run(
        [*command, *options], cwd=repository, env=here, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 1
    assert "corpusmill: rank 1 of 2 hangs: no sign of life for 10 s while reading the data of step 3" in done.stderr
    assert 'hanging.py", line' in done.stderr.split("rank 1 of 2 hangs")[1], "its stack"
    assert [row["step"] for row in read_log(run, "metrics.jsonl")] == [1, 2]


@pytest.mark.slow
def test_when_the_launcher_is_killed_no_rank_is_left(
    make_corpus: Callable[..., Any], corpus_root: CorpusRoot, tmp_path: Path, repository: Path
) -> None:
    make_corpus()
    run = str(tmp_path / "run")
    process = start(arguments(corpus_root.url, run, "--nproc", "2", steps="50"), repository)
    wait_until(lambda: process.poll() is not None or len(read_log(run, "metrics.jsonl")) >= 1, "a step")
    ranks = psutil.Process(process.pid).children(recursive=True)
    assert len(ranks) >= 2, process.stderr.read() if process.stderr else ""
    process.kill()
    process.communicate()
    wait_until(lambda: not any(map(alive, ranks)), "the end of all ranks", 30)


SLOW_DISK = """
import sys, time
from training.checkpoints import saver
real = saver.write_tensors
def write_tensors(folder, tensors, ranks):
    if "step-000004" not in folder.parent.name:
        sys.stderr.write("HELD\\n")
        sys.stderr.flush()
        time.sleep(600)
    real(folder, tensors, ranks)
saver.write_tensors = write_tensors
"""


def test_where_a_checkpoint_cannot_be_saved_in_time_the_last_one_stands(
    make_corpus: Callable[..., Any], corpus_root: CorpusRoot, tmp_path: Path, repository: Path
) -> None:
    make_corpus()
    run = str(tmp_path / "run")
    process = start(arguments(corpus_root.url, run, steps="50", grace_seconds="1.5"), repository, SLOW_DISK)
    assert process.stderr is not None
    wait_until(lambda: "HELD" in process.stderr.readline(), "the save that takes long")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "stopped by SIGTERM; no checkpoint was saved within the 1.5 s of grace, and the last one stands" in err
    assert checkpoint_steps(run) == [4]
    assert main(arguments(corpus_root.url, run, steps="9")) == 2  # other steps are another run
    assert main(arguments(corpus_root.url, run, steps="50")) == 0
    assert [row["step"] for row in read_log(run, "metrics.jsonl")] == list(range(1, 51))
