"""The Slurm template, with programs that say how they were called in the place of Slurm's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import wait_until
from real_commands import check_command

from schemas.configs.train import TrainConfig

_BIN = Path(sys.executable).parent
_SCRIPT = Path("infra/slurm/train.sbatch")


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """The environment of a job on four machines, and stand-ins that note their words."""
    place = tmp_path / "slurm"
    place.mkdir()
    programs = {
        "srun": f'printf "%s\\n" "$@" >{tmp_path}/srun; [ -z "$HOLD" ] || {{ trap "exit 1" TERM; sleep 60 & wait; }}',
        "scontrol": f'[ "$1" != show ] || {{ echo node07; echo node08; exit; }}; echo "$@" >{tmp_path}/scontrol',
    }
    for name, text in programs.items():
        (place / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / name).chmod(0o755)
    job = {"JOB_ID": "77", "NNODES": "4", "GPUS_ON_NODE": "8", "CPUS_PER_TASK": "64", "JOB_NODELIST": "node[07-10]"}
    path = f"{place}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOLD": "", **{f"SLURM_{name}": value for name, value in job.items()}}


def test_shellcheck_finds_nothing(repository: Path) -> None:
    done = subprocess.run([_BIN / "shellcheck", repository / _SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_is_started_is_real(repository: Path, slurm: dict[str, str], tmp_path: Path) -> None:
    subprocess.run(["bash", repository / _SCRIPT], env={**slurm, "CORPUS": "s3://mill/main"}, check=True)
    words = (tmp_path / "srun").read_text().splitlines()
    assert words[0] == "--kill-on-bad-exit=1"
    check_command(words[1:])
    assert "--rdzv-endpoint=node07:29500" in words
    assert "--nnodes=4" in words
    assert words[words.index("--root") + 1] == "s3://mill/main"
    assert words[words.index("--run") + 1] == "/shared/runs/gpt3-1.3b"
    assert not (tmp_path / "scontrol").exists()


def test_a_job_that_is_stopped_gets_in_line_again(repository: Path, slurm: dict[str, str], tmp_path: Path) -> None:
    with subprocess.Popen(["bash", repository / _SCRIPT], env={**slurm, "HOLD": "1"}) as job:
        wait_until((tmp_path / "srun").exists, "the step")
        job.send_signal(signal.SIGTERM)
        assert job.wait(60) == 0
    assert (tmp_path / "scontrol").read_text() == "requeue 77\n"


def test_a_job_that_fails_has_failed(repository: Path, slurm: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "slurm/srun").write_text("#!/bin/sh\nexit 3\n")
    done = subprocess.run(["bash", repository / _SCRIPT], env=slurm, check=False)
    assert done.returncode == 3
    assert not (tmp_path / "scontrol").exists()


def test_there_is_time_to_save(repository: Path) -> None:
    seconds = re.search(r"^#SBATCH --signal=B:TERM@(\d+)$", (repository / _SCRIPT).read_text(), re.MULTILINE)
    assert int(seconds[1]) >= 2 * (TrainConfig(steps=1).grace_seconds + 10)
