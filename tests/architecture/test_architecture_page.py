"""ARCHITECTURE.md has one line a module: the first line of the module's own text."""

from __future__ import annotations

import ast
import re
from pathlib import Path

_LINE = re.compile(r"^- `((?:schemas|pipelines|training|flows)/[\w/]+\.py)` .*$", re.MULTILINE)


def test_every_module_has_its_line(modules, repository: Path):
    wanted = []
    for module in modules:
        if not module.is_package:
            text = ast.get_docstring(module.tree)
            assert text, f"{module.path} says nothing about itself"
            wanted.append(f"- `{module.path.relative_to(repository).as_posix()}` {text.splitlines()[0]}")
    page = (repository / "ARCHITECTURE.md").read_text(encoding="utf-8")
    written = [match[0] for match in _LINE.finditer(page)]
    missing, wrong = sorted(set(wanted) - set(written)), sorted(set(written) - set(wanted))
    assert not missing, "put these lines into ARCHITECTURE.md:\n" + "\n".join(missing)
    assert not wrong, "take these lines out of ARCHITECTURE.md:\n" + "\n".join(wrong)
    assert len(written) == len(set(written))
