"""Finding what a command has started by a mark in its environment, which all descendants inherit.

A process that has left its parent, its group and its session is still found by it (Linux). It is the second line: as
long as the supervisor of a command lives, that knows all of them.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from pipelines.engine.lifeline import SPARED_VARIABLE

__all__ = ["MARK_VARIABLE", "kill_marked", "marked_environment"]

MARK_VARIABLE = "CORPUSMILL_TREE"
_KILL_SECONDS = 5.0


def marked_environment(env: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """An environment with a new mark behind those that it has, and the mark."""
    mark = uuid.uuid4().hex
    return {**env, MARK_VARIABLE: f"{env.get(MARK_VARIABLE, '')} {mark}".strip()}, mark


def _has(process: Path, mark: bytes) -> bool:
    try:
        variables = (process / "environ").read_bytes().split(b"\0")
    except OSError:  # ended, or of another user
        return False
    if any(one.startswith(f"{SPARED_VARIABLE}=".encode()) for one in variables):
        return False
    return any(one.startswith(f"{MARK_VARIABLE}=".encode()) and mark in one for one in variables)


def _marked(mark: str) -> list[int]:
    if not Path("/proc/self/environ").exists():
        return []
    found = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and _has(entry, mark.encode()))
    return [int(entry.name) for entry in found if int(entry.name) != os.getpid()]


def kill_marked(mark: str) -> list[int]:
    """Kill every process that has a mark, and what these start meanwhile; gives the pids of those that were found.

    A process in an uninterruptible wait is left after five seconds. One with `CORPUSMILL_SPARED` in its environment,
    which ends by itself within seconds, is left alone.
    """
    killed: dict[int, None] = {}
    deadline = time.monotonic() + _KILL_SECONDS
    while (found := _marked(mark)) and time.monotonic() < deadline:
        for pid in found:
            killed[pid] = None
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(0.01)
    return list(killed)
