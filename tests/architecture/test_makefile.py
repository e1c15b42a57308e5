"""`make` on machines where something is missing: one line that says what."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_INPUTS = ("Makefile", "pyproject.toml", "requirements/dev.txt", "requirements/bootstrap.txt")


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """What `make setup` reads, without an environment, and a folder `bin` that is all of PATH beside the system's."""
    for name in _INPUTS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(repository / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for tool in ("awk", "sh", "grep", "touch", "rm"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    return tmp_path


def _python(checkout: Path, name: str, script: str) -> None:
    path = checkout / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(checkout / "bin"), "HOME": os.environ.get("HOME", "")}
    make = shutil.which("make")
    assert make is not None
    command = [make, *arguments]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def test_targets_are_listed(checkout: Path):
    done = _make(checkout)
    assert done.returncode == 0
    assert {"demo", "test", "prove", "check", "setup"} <= {line.split()[1] for line in done.stdout.splitlines()}


def test_an_older_python_is_named(checkout: Path):
    _python(checkout, "python3", "echo 3.10.13")
    done = _make(checkout, "setup")
    first, *rest = done.stderr.splitlines()
    assert done.returncode != 0
    assert first.startswith(
        "Python 3.11, 3.12 or 3.13 is needed: python3 is 3.10.13; install one, or name it: make setup"
    )
    assert len(rest) <= 1  # make's own word that the target failed
    assert not (checkout / ".venv").exists()


def test_a_shim_that_does_not_run_is_passed_over(checkout: Path):
    _python(checkout, "python3.12", "exit 127")
    _python(checkout, "python3", "echo 3.14.0")
    assert "needed: python3 is 3.14.0; install one" in _make(checkout, "setup").stderr


def test_no_python_at_all(checkout: Path):
    assert "needed: none of python3.11 python3.12 python3.13 python3 runs; install" in _make(checkout, "setup").stderr


def test_the_named_python_is_the_one(checkout: Path):
    _python(checkout, "python3.11", "echo 3.11.9")
    _python(checkout, "mine", "echo 3.9.1")
    assert "needed: mine is 3.9.1; install" in _make(checkout, "setup", "PYTHON=mine").stderr


def test_a_python_without_venv_is_said(checkout: Path):
    _python(checkout, "python3.11", 'case "$2" in *version_info*) echo 3.11.2 ;; *) exit 1 ;; esac')
    assert "python3.11 is 3.11.2 without the module venv" in _make(checkout, "setup").stderr


def test_an_unknown_proof_is_said(checkout: Path):
    (checkout / ".venv").mkdir()
    (checkout / ".venv/.corpusmill-setup").touch()
    for tool in ("ls", "sed", "tr"):
        (checkout / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    (checkout / "tests/proofs").mkdir(parents=True)
    (checkout / "tests/proofs/demo_kills.py").touch()
    done = _make(checkout, "prove", "nothing-such")
    assert done.returncode != 0
    assert "no proof 'nothing-such'; there are: demo-kills" in done.stderr
