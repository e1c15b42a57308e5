"""The training benchmarks at toy sizes: they run, their contestants learn the same, their numbers add up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import training_peers

from schemas.configs.model import ModelConfig

CPU = torch.device("cpu")
SHAPE = ModelConfig(vocabulary_size=64, context=16, layers=2, heads=2, width=32, sparse=False)


@pytest.mark.parametrize("name", ["corpusmill", "nanoGPT's way", "transformers"])
def test_contestants_have_as_many_parameters_and_learn_alike(name: str):
    step = training_peers.make(name, SHAPE, "fp32", CPU, compiled=False, equal=True)
    tokens = torch.randint(0, 64, (4, 17), generator=torch.Generator().manual_seed(0))
    losses = [step(tokens) for _ in range(30)]
    assert losses[0] == pytest.approx(training_peers.first_loss(SHAPE), abs=0.3)
    assert losses[-1] < losses[0] - 0.1


def script(repository: Path, name: str, *words: str) -> str:
    here = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(repository / "tests/benchmarks" / name), *words]
    done = subprocess.run(command, env=here, capture_output=True, text=True, check=False, timeout=800)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_gpu_benchmark_runs_at_toy_sizes_on_a_cpu(repository: Path, tmp_path: Path):
    out = tmp_path / "found.json"
    told = script(repository, "gpu_train_benchmark.py", "--dry-run", "--eager", "--out", str(out))
    shapes = json.loads(out.read_text())["shapes"]
    assert {shape: [row["who"] for row in rows] for shape, rows in shapes.items()} == {
        "toy dense": ["corpusmill", "transformers"],
        "toy banded": ["corpusmill"],
    }
    ours = shapes["toy banded"][0]
    assert ours["mfu"] > ours["mfu_windowed"] > 0
    assert ours["tokens_per_second"] == pytest.approx(2 * 32 / ours["seconds"])
    assert set(ours["parts"]) == {"forward and loss", "backward", "clip", "optimizer"}
    assert re.search(r"\| toy dense \| transformers \| 1 \|", told)


@pytest.mark.slow
def test_the_cpu_benchmark_takes_turns_and_says_what_ours_is_beside_each(repository: Path):
    words = [
        "--peers",
        "nanoGPT's way",
        "--shapes",
        "tiny",
        "--modes",
        "eager",
        "--precisions",
        "fp32",
        "--rounds",
        "1",
        "--seconds",
        "0.05",
    ]
    told = script(repository, "train_benchmark.py", *words, "--threads", "1", "--clock", "process_time")
    rows = re.findall(r"\| tiny \| fp32 \| ([^|]+) \| eager, ([^|]+) \| ([\d,]+) \| \d+% \| ([\d.]+) \|", told)
    assert [row[:2] for row in rows] == [
        ("corpusmill", "as it ships"),
        ("nanoGPT's way", "as it ships"),
        ("nanoGPT's way", "equal"),
    ]
    speeds = [float(row[2].replace(",", "")) for row in rows]
    assert [float(row[3]) for row in rows] == pytest.approx([speeds[0] / one for one in speeds], abs=0.02)
    assert f"tiny, fp32: {speeds[0] / speeds[1]:.2f} times the best peer as it ships." in told
