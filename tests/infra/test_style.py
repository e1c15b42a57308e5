"""YAML and shell in `infra/` as their linters want them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_BIN = Path(sys.executable).parent


def test_yaml_is_tidy(repository: Path) -> None:
    command = [_BIN / "yamllint", "--strict", "--config-file", "infra/.yamllint", "infra"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
