"""The table of traps in docs/training.md names tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

_ROW = re.compile(r"^\| ([^|]+) \| `(tests/[\w/]+\.py)::(\w+)` \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def rows(repository: Path) -> list[tuple[str, str, str]]:
    page = (repository / "docs/training.md").read_text(encoding="utf-8")
    return _ROW.findall(page[page.index("## Traps") :])


def test_each_trap_has_a_test_that_is_there(rows: list[tuple[str, str, str]], repository: Path):
    missing = []
    for _, path, name in rows:
        tree = ast.parse((repository / path).read_text(encoding="utf-8"))
        if name not in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}:
            missing.append(f"{path}::{name}")
    assert not missing


def test_every_trap_that_applies_stands_in_the_table(rows: list[tuple[str, str, str]]):
    assert len({trap for trap, _, _ in rows}) == 20
