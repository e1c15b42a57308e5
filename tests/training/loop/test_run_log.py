from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import OutputError
from training.loop.run_log import RunLog, read_log


def test_rows_after_the_restored_step_are_taken_out(tmp_path: Path) -> None:
    run = str(tmp_path)
    log = RunLog(run, "metrics.jsonl", 0)
    for step in (1, 2, 3):
        log.append({"step": step, "text": "a\u2028b\x85 é"})
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 4, "lo')  # killed while writing
    assert [row["step"] for row in read_log(run, "metrics.jsonl")] == [1, 2, 3]
    RunLog(run, "metrics.jsonl", 2).append({"step": 3})
    assert read_log(run, "metrics.jsonl") == [
        {"step": 1, "text": "a\u2028b\x85 é"},
        {"step": 2, "text": "a\u2028b\x85 é"},
        {"step": 3},
    ]


def test_a_new_run_begins_an_empty_log(tmp_path: Path) -> None:
    RunLog(str(tmp_path), "metrics.jsonl", 0).append({"step": 1})
    RunLog(str(tmp_path), "metrics.jsonl", 0)
    assert read_log(str(tmp_path), "metrics.jsonl") == []
    assert read_log(str(tmp_path), "other.jsonl") == []


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    log = RunLog(str(tmp_path), "metrics.jsonl", 0)
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*metrics\.jsonl"):
        log.append({"step": 1})
