"""Formatting, lint, types and import directions, as `make check` runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_BIN = Path(sys.executable).parent


def _run(repository: Path, *command: str) -> None:
    done = subprocess.run(
        [_BIN / command[0], *command[1:]], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_code_is_formatted(repository: Path):
    _run(repository, "ruff", "format", "--check")


def test_lint(repository: Path):
    _run(repository, "ruff", "check")


def test_import_directions(repository: Path):
    _run(repository, "lint-imports")


@pytest.mark.slow
def test_types(repository: Path):
    _run(repository, "mypy")
