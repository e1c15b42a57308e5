"""One command in processes of its own: wall time, CPU time of all of them, and the most memory that they had."""

from __future__ import annotations

import subprocess
import time
from typing import NamedTuple

import psutil

__all__ = ["Usage", "watched"]

_EVERY_SECONDS = 0.1


class Usage(NamedTuple):
    """What a command took.

    Attributes:
        wall: seconds.
        cpu: seconds of user and system time, of the command and of all that it started.
        together: most bytes of resident memory of all processes at one moment, as looked at ten times a second; what
            processes share counts once for each.
        largest: most bytes of any one process.
        output: its standard output.
    """

    wall: float
    cpu: float
    together: int
    largest: int
    output: str


def watched(words: list[str], environment: dict[str, str] | None = None) -> Usage:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed.
    """
    started = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    root = psutil.Process(process.pid)
    seconds: dict[tuple[int, float], float] = {}
    together = largest = 0
    output = error = ""
    while True:
        sizes = []
        try:
            for one in [root, *root.children(recursive=True)]:
                try:
                    spent, size = one.cpu_times(), one.memory_info().rss
                except psutil.Error:
                    continue
                seconds[one.pid, one.create_time()] = spent.user + spent.system
                sizes.append(size)
        except psutil.Error:
            pass
        together, largest = max(together, sum(sizes)), max([largest, *sizes])
        try:
            output, error = process.communicate(timeout=_EVERY_SECONDS)
            break
        except subprocess.TimeoutExpired:
            continue
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}\n{output}\n{error}")
    return Usage(time.monotonic() - started, sum(seconds.values()), together, largest, output)
