"""Processes that tests start, watch and kill, on machines of any speed: conditions are waited for, never time."""

from __future__ import annotations

import glob
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

# Costs nothing where all is well. A Python with Beam, torch or Prefect is there after some 3 s on a free core, and was
# seen to take ten times as long on two cores that ran eight processes.
PATIENCE_SECONDS = 240.0
_LONGEST_PAUSE_SECONDS = 0.2


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait until a condition holds; gives what it gave. `what` says what was waited for where it never does."""
    deadline, pause = time.monotonic() + seconds, 0.01
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not after {seconds:.0f} s: {what}"
        time.sleep(pause)
        # A server that is asked a hundred times a second has no time for what is waited for.
        pause = min(_LONGEST_PAUSE_SECONDS, 1.3 * pause)
    return found


@contextmanager
def looking_on(look: Callable[[], Any], seconds: float) -> Iterator[None]:
    """Call `look` every so many seconds, in a thread, while the body runs."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(seconds):
            look()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def alive(process: int | psutil.Process) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        one = psutil.Process(process) if isinstance(process, int) else process
        return one.is_running() and one.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def command_of(process: psutil.Process) -> str:
    """The command line of a process; empty where it ends while it is looked at."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # a zombie is a NoSuchProcess to psutil
        return ""


def marked(variable: str, value: str) -> list[psutil.Process]:
    """All live processes but this one that have inherited a variable of the environment."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = process.environ().get(variable) == value
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if mine and alive(process) and process.pid != os.getpid():
            found.append(process)
    return found


def files(folder: Path, pattern: str) -> list[Path]:
    """What matches in a folder in which others make and remove; `Path.glob` fails where a folder goes meanwhile."""
    names = glob.glob(pattern, root_dir=folder, recursive=True, include_hidden=True)  # noqa: PTH207
    return [folder / name for name in names]


def children_cpu() -> float:
    """CPU-seconds of all ended children and of what they waited for: unlike seconds, the same on busy cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
