"""The benchmark of traces at a small size: its corpus is one that the commands read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_all_three_traces_are_timed(repository: Path, tmp_path: Path):
    script = repository / "tests" / "benchmarks" / "trace_benchmark.py"
    command = [sys.executable, str(script), "--documents", "4000", "--out", str(tmp_path / "corpus"), "--rounds", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    for name in ("token", "document", "step"):
        assert f"trace {name} " in ended.stdout
