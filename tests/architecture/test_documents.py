"""Commands in the documentation work: every block that opens with ```sh run is executed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```sh run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECONDS = 500  # below that of every test


def _blocks():
    pages = [*_REPOSITORY.glob("*.md"), *_REPOSITORY.glob("docs/**/*.md"), *_REPOSITORY.glob("infra/**/*.md")]
    for page in sorted(pages):
        text = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield pytest.param(match[1], id=f"{page.relative_to(_REPOSITORY)}:{line}")


@pytest.mark.slow
@pytest.mark.parametrize("block", list(_blocks()))
def test_block_runs(block: str, tmp_path: Path):
    """In an empty folder, with the environment's commands on PATH, and stopping at the first that fails."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", block],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"


_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def test_links_lead_somewhere(project_files: list[Path], repository: Path):
    broken = [
        f"{page.relative_to(repository)}: {target}"
        for page in project_files
        if page.suffix == ".md"
        for target in _LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken
