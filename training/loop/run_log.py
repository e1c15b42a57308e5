"""The log of a run: one JSON object a line, and none twice after a resume."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from schemas.errors import OutputError
from schemas.storage import Folder

__all__ = ["METRICS_NAME", "SAMPLES_NAME", "RunLog", "finite_or_none", "read_log"]

METRICS_NAME, SAMPLES_NAME = "metrics.jsonl", "samples.jsonl"


def finite_or_none(value: float) -> float | None:
    """A number as JSON has it: it knows none that is not finite."""
    return value if math.isfinite(value) else None


def read_log(run: str, name: str) -> list[dict[str, Any]]:
    """The rows of a log; a last line that a killed run left half-written is no row."""
    path = Path(run) / name
    if not path.is_file():
        return []
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines]


class RunLog:
    """Appends rows to `<run>/<name>`; every row has a `step`."""

    def __init__(self, run: str, name: str, step: int) -> None:
        """Open the log to go on after `step`: rows of later steps, of a run that was killed, are taken out.

        Raises:
            OutputError: the log cannot be written.
        """
        kept = [row for row in read_log(run, name) if row["step"] <= step]
        Folder(run).put_whole(name, "".join(map(_line, kept)).encode("utf-8"))
        self._path = Path(run) / name

    def append(self, row: dict[str, Any]) -> None:
        """Add one row.

        Raises:
            OutputError: the log cannot be written.
        """
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(_line(row))
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error}; free some space and run again") from error


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
