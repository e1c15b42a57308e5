"""`train --verify-resume`: proves on this machine that a run that was killed ends as one that was not.

A short run with the user's settings goes through undisturbed; a second one is killed with SIGKILL in the middle of a
step, goes on, is killed again with half a checkpoint written, and goes on to the end. Losses of all steps and the bytes
of the last checkpoint have to be equal.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas.errors import StageError
from schemas.run import checkpoint_folder, latest_step
from training.checkpoints.content import content_digests
from training.launch import launch_environment
from training.loop.run_log import METRICS_NAME, read_log

__all__ = ["STEPS", "verify_resume"]

STEPS = 9
_SETTINGS = {
    "steps": STEPS,
    "warmup_tokens": 0,
    "checkpoint_every": 3,
    "keep_checkpoints": 2,
    "validation_every": 0,
    "validation_windows": 1,
    "sample_every": 0,
    "sample_tokens": 1,
}
_KILLS = (("step", "5"), ("save", "6"))


def _run(module: Sequence[str], options: Sequence[str], run: Path) -> int:
    """Train in a folder; gives the exit code."""
    sets = [part for key, value in _SETTINGS.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", *module, *options, *sets, "--run", str(run)]
    surroundings = {**launch_environment(), **os.environ}
    done = subprocess.run(  # noqa: S603  # our own command
        command, env=surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode > 0 and module[0] == "training":
        raise StageError(f"the run to compare with failed: {done.stderr.strip().splitlines()[-1]}")
    return done.returncode


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _losses(run: Path) -> list[float]:
    return [row["loss"] for row in read_log(str(run), METRICS_NAME)]


def verify_resume(options: Sequence[str]) -> dict[str, Any]:
    """Run the proof, and say what is seen on stderr.

    Args:
        options: of `train`, without `--run`.

    Returns:
        The command's JSON result.

    Raises:
        StageError: something is not equal, or a run failed.
    """
    with tempfile.TemporaryDirectory(prefix="corpusmill-verify-") as folder:
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        _run(["training"], options, whole)
        _say(f"undisturbed: {STEPS} steps, loss {_losses(whole)[-1]!r}")
        for moment, step in _KILLS:
            code = _run(["training.killed_run", moment, step], options, cut)
            where = f"in step {step}" if moment == "step" else f"while saving step {step}"
            if code == 0:
                raise StageError(f"the run that was to be killed {where} ended by itself; nothing is proven")
            _say(f"killed {where}; the last checkpoint is of step {latest_step(str(cut))}")
        _run(["training"], options, cut)
        _say(f"gone on to step {latest_step(str(cut))}")
        expected, found = _losses(whole), _losses(cut)
        unequal = [step for step, pair in enumerate(zip(expected, found, strict=False), start=1) if pair[0] != pair[1]]
        if unequal or len(expected) != len(found):
            first = unequal[0] if unequal else min(len(expected), len(found)) + 1
            raise StageError(
                f"after a kill the losses are others from step {first} on (of {len(expected)} and {len(found)} steps); "
                "compare settings that bring operations without a fixed order of sums"
            )
        sums = [content_digests(checkpoint_folder(str(run), STEPS)) for run in (whole, cut)]
        if not sums[0] or sums[0] != sums[1]:
            raise StageError("after a kill losses are equal, and the bytes of the last checkpoint are not")
    _say(f"losses of all {STEPS} steps and the bytes of the last checkpoint are equal")
    return {"command": "train", "verified": True, "steps": STEPS, "kills": len(_KILLS), "loss": expected[-1]}
