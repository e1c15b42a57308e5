"""The deployments: `prefect.yaml`, as `prefect deploy --all` reads it, from a checkout or from a wheel."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from schemas.errors import StageError

__all__ = ["apply_deployments", "deployments_file"]

_HERE = Path(__file__).resolve()
# In a wheel the file lies beside this module.
_FILES = (_HERE.parents[2] / "prefect.yaml", _HERE.with_name("prefect.yaml"))
_DECORATION = re.compile(r"[│╭╮╰╯─]+")


def deployments_file() -> Path:
    """Where `prefect.yaml` lies."""
    return next(path for path in _FILES if path.is_file())


def apply_deployments(folder: str, env: Mapping[str, str]) -> None:
    """Make all deployments, or bring them up to date.

    Args:
        folder: where their flows are to run.
        env: the environment of `prefect deploy`, with the server's URL in it.

    Raises:
        StageError: Prefect refuses; the message has its last words.
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(deployments_file())],
        env={**env, "PWD": folder},  # what `prefect.yaml` names as their working directory; it may be elsewhere
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [_DECORATION.sub("", line).strip() for line in (done.stdout + done.stderr).splitlines()]
        said = " ".join([line for line in lines if line][-3:])
        raise StageError(f"the deployments of {deployments_file()} were refused: {said}")
