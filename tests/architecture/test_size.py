"""Nothing grows until it cannot be read at one sitting, and every file name says what is in it."""

from __future__ import annotations

import ast
from pathlib import Path

_MODULE_LINES = 300
_FUNCTION_LINES = 60
_EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "shared", "stuff"}


def test_modules_are_short(modules):
    long = {m.name: lines for m in modules if (lines := len(m.text.splitlines())) > _MODULE_LINES}
    assert not long


def test_functions_are_short(modules):
    long = {
        f"{module.at(node)} {node.name}": lines
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > _FUNCTION_LINES
    }
    assert not long


def test_file_names_say_something(project_files: list[Path], repository: Path):
    empty = [path.relative_to(repository) for path in project_files if path.stem in _EMPTY_NAMES]
    assert not empty
