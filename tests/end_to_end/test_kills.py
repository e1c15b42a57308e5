"""Killed and called again, the demo ends as if nothing had been; `make prove demo-kills` does so at ten moments."""

from __future__ import annotations

import re
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import psutil
import pytest

pytestmark = pytest.mark.slow

SAME = ("digest", "steps", "loss", "validation_loss", "scores", "finetune_loss", "finetune_scores")


def stop_at(demo, step: str, seconds: float, number: int) -> tuple[int, str, float]:
    """Send a signal so long after a step has begun; gives the exit code, the rest of stderr and the time to the end."""
    with demo.start() as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.match(rf"\[ ?\d+/12\] {step} +…", line):
                break
        time.sleep(seconds)
        alive = demo.processes()
        assert len(alive) >= 3, alive
        started = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate()
        ended = time.monotonic() - started
    left = psutil.wait_procs(alive, timeout=5)[1]
    assert not [one for one in left if one.status() != psutil.STATUS_ZOMBIE]
    assert not demo.processes()
    return process.returncode, errors, ended


def test_two_kills_change_nothing(undisturbed, make_demo: Callable):
    reference, _ = undisturbed
    demo = make_demo()
    assert stop_at(demo, "clean", 1.0, signal.SIGKILL)[0] == -signal.SIGKILL
    assert stop_at(demo, "pretrain", 6.0, signal.SIGKILL)[0] == -signal.SIGKILL
    ended = demo.run()
    assert ended.code == 0, ended.err
    assert {key: demo.summary()[key] for key in SAME} == {key: reference.summary()[key] for key in SAME}
    with closing(sqlite3.connect(f"file:{demo.root}/.prefect/prefect.db?mode=ro", uri=True)) as database:
        states = database.execute(
            "select state_type from flow_run where parent_task_run_id is null order by start_time"
        )
        assert [state for (state,) in states] == ["CRASHED", "CRASHED", "COMPLETED"]


def test_an_interruption_says_how_to_go_on_and_takes_seconds(make_demo: Callable):
    code, errors, seconds = stop_at(make_demo(), "crawl", 2.0, signal.SIGINT)
    assert code == 130
    assert errors == "corpusmill: interrupted; run the same command to go on\n"
    assert seconds < 10
