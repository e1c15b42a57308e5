"""One run of `corpusmill run dedup` over the corpus of a benchmark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from watched_run import Usage, watched

__all__ = ["HERE", "OURS", "environment", "ours"]

HERE = Path(__file__).resolve().parent
# Other programs and the command line do not fit into one environment.
OURS = HERE.parents[1] / ".venv" / "bin" / "python"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [HERE.parents[1], HERE, HERE.parent / "support"]))}


def ours(root: Path, workers: int, settings: Sequence[str] = ()) -> tuple[Usage, list[str]]:
    for table in ("signatures", "edges", "duplicates", "clusters"):
        shutil.rmtree(root / table, ignore_errors=True)
    words = [str(OURS), "-m", "flows.cli", "run", "dedup", "--root", str(root), "--workers", str(workers), "--json"]
    usage = watched([*words, *(word for one in settings for word in ("--set", one))], environment())
    names = {}
    for file in (root / "documents/web/p").glob("*.parquet"):
        table = pq.read_table(file, columns=["document_id", "url"])
        names.update(zip(table["document_id"].to_pylist(), table["url"].to_pylist(), strict=True))
    files = (root / "duplicates/web/p").glob("*.parquet")
    gone = [names[one] for file in files for one in pq.read_table(file)["removed_id"].to_pylist()]
    return usage, gone
