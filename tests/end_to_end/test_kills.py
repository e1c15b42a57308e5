"""Killed and called again, the demo ends as if nothing had been; `make prove demo-kills` does so at ten moments."""

from __future__ import annotations

import re
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from processes import alive, files, wait_until

pytestmark = pytest.mark.slow

SAME = ("digest", "steps", "loss", "validation_loss", "scores", "finetune_loss", "finetune_scores")


# A file that a step writes while it goes on, and the lines in it of which it has one in the middle of its work.
WORK = {
    "crawl": (".work/crawl/**/journal.jsonl", 5),
    "clean": (".work/clean/*", 0),
    "pretrain": ("runs/pretrain-*/metrics.jsonl", 12),  # of 30, two checkpoints
}


def lines(path: Path) -> int:
    """How many lines a file has, if it is one."""
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0


def stop_at(demo, step: str, number: int) -> tuple[int, str, float]:
    """Send a signal when a step is at work; gives the exit code, the rest of stderr and the time to the end."""
    pattern, enough = WORK[step]

    def at_work() -> bool:
        assert process.poll() is None, "it ended before it was stopped"
        return any(lines(path) >= enough for path in files(demo.root, pattern))

    with demo.start() as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.match(rf"\[ ?\d+/12\] {step} +…", line):
                break
        wait_until(at_work, f"{step} at work")
        seen = wait_until(lambda: (found := demo.processes()) and len(found) >= 3 and found, "demo, server and step")
        started = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate()
        ended = time.monotonic() - started
    wait_until(lambda: not any(map(alive, seen)) and not demo.processes(), "the end of all processes")
    return process.returncode, errors, ended


def test_two_kills_change_nothing(undisturbed, make_demo: Callable):
    reference, _ = undisturbed
    demo = make_demo()
    assert stop_at(demo, "clean", signal.SIGKILL)[0] == -signal.SIGKILL
    assert stop_at(demo, "pretrain", signal.SIGKILL)[0] == -signal.SIGKILL
    ended = demo.run()
    assert ended.code == 0, ended.err
    assert {key: demo.summary()[key] for key in SAME} == {key: reference.summary()[key] for key in SAME}
    with closing(sqlite3.connect(f"file:{demo.root}/.prefect/prefect.db?mode=ro", uri=True)) as database:
        states = database.execute(
            "select state_type from flow_run where parent_task_run_id is null order by start_time"
        )
        assert [state for (state,) in states] == ["CRASHED", "CRASHED", "COMPLETED"]


def test_an_interruption_says_how_to_go_on_and_takes_seconds(make_demo: Callable):
    code, errors, seconds = stop_at(make_demo(), "crawl", signal.SIGINT)
    assert code == 130
    assert errors == "corpusmill: interrupted; run the same command to go on\n"
    assert seconds < 60  # some 3 s on free cores
