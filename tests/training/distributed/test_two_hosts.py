"""One training over two hosts, started as the documentation says; the cable between them is pulled, and one goes on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from network_hosts import NetworkHost, two_hosts, why_no_hosts
from processes import wait_until

from schemas.corpus_root import CorpusRoot
from schemas.run import checkpoint_folder, checkpoint_steps, latest_step
from training.checkpoints.files import read_state
from training.cli import main
from training.loop.run_log import METRICS_NAME, read_log

# Within the latter a host that is cut off finds out that the launcher of the first one is gone.
HANG_SECONDS, TCP_SECONDS = 8, 60
PORT, STEPS = 29500, 50
SHAPE = "{context=32, layers=2, heads=2, width=32, band=8, residual_dropout=0.1}"
SETTINGS = {
    "model": SHAPE,
    "batch": "8",
    "micro_batch": "2",
    "steps": str(STEPS),
    "warmup_tokens": "512",
    "precision": "fp32",
    "sample_every": "0",
    "sample_tokens": "3",
    "validation_windows": "4",
    "checkpoint_every": "4",
    "keep_checkpoints": "50",
    "parallel": "fsdp",
    "hang_seconds": str(HANG_SECONDS),
}


@pytest.fixture
def hosts() -> Iterator[Sequence[NetworkHost]]:
    """Two; a skip where this machine cannot have them, and where CI lacks the program a failure."""
    reason = why_no_hosts()
    if "iproute2" in reason and os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI=true")
    if reason:
        pytest.skip(reason)
    with two_hosts() as both:
        yield both


def words(root: str, run: Path) -> list[str]:
    """The command of each run."""
    sets = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    return ["train", "--root", root, "--mixture", "main", "--run", str(run), *sets]


def start(host: NetworkHost, first: NetworkHost, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """A host's part of the training, by torchrun."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{first.name}:{PORT}"]
    here = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as told:
        whole = host.command([*launcher, *meeting, "-m", "--", "training", *command])
        return subprocess.Popen(whole, env=here, stdout=told, stderr=subprocess.STDOUT)


def steps_of(run: Path) -> int:
    """Steps in its log."""
    return len(read_log(str(run), METRICS_NAME))


@pytest.mark.slow
def test_a_host_that_is_cut_off_ends_the_run_and_the_other_goes_on_alone(
    hosts: Sequence[NetworkHost],
    make_corpus: Callable[..., Any],
    corpus_root: CorpusRoot,
    tmp_path: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(repository)
    make_corpus()
    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    logs = [tmp_path / f"{host.name}.log" for host in hosts]
    parts = [start(host, hosts[0], words(corpus_root.url, run), log) for host, log in zip(hosts, logs, strict=True)]
    wait_until(lambda: steps_of(run) >= 6 or any(part.poll() is not None for part in parts), "six steps on two hosts")
    assert [part.poll() for part in parts] == [None, None], [log.read_text() for log in logs]
    hosts[1].cut_off()
    cut = time.monotonic()
    codes = [part.wait(timeout=180) for part in parts]
    assert codes == [1, 1]
    assert time.monotonic() - cut < HANG_SECONDS + TCP_SECONDS
    assert re.search("rank 0 of 2 hangs: no sign of life for|rank 0 lost the others", logs[0].read_text())
    assert [host.processes() for host in hosts] == [[], []]
    stood = latest_step(str(run))
    assert stood is not None
    assert 4 <= stood < STEPS
    for step in checkpoint_steps(str(run)):
        assert read_state(checkpoint_folder(str(run), step)).step == step
    done = subprocess.run(
        hosts[0].command([sys.executable, "-m", "training", *words(corpus_root.url, run)]),
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert main(words(corpus_root.url, undisturbed)) == 0
    rows, alone = (read_log(str(one), METRICS_NAME) for one in (run, undisturbed))
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in alone], rel=2e-5)
