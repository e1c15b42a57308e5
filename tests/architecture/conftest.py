"""The source of the project, parsed once for all tests about it."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGES = ("schemas", "pipelines", "training", "flows")


@dataclass(frozen=True)
class Module:
    """One Python file of the four packages."""

    path: Path
    name: str
    text: str
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        """Whether this is an `__init__.py`."""
        return self.path.name == "__init__.py"

    def at(self, node: ast.AST) -> str:
        """`schemas/errors.py:12`, for messages."""
        return f"{self.name.replace('.', '/')}:{node.lineno}"  # type: ignore[attr-defined]


def _module(repository: Path, path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    parts = path.relative_to(repository).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(path, name, text, ast.parse(text))


@pytest.fixture(scope="session")
def modules(repository: Path) -> list[Module]:
    """Every module of the four packages, sorted by path."""
    paths = sorted(path for package in PACKAGES for path in (repository / package).rglob("*.py"))
    return [_module(repository, path) for path in paths]


@pytest.fixture(scope="session")
def project_files(repository: Path) -> list[Path]:
    """Every file of the project: what git tracks, and new files that it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=repository, capture_output=True, check=True, text=True).stdout
    return [path for name in sorted(listed.split("\0")) if name and (path := repository / name).is_file()]
