"""Ends a worker process when the run that owns it is gone.

A SIGKILL of the owner gives it no chance to end its workers, so each worker watches the owner instead: the process
that starts them puts its pid and start time into the environment, and a thread of each worker looks every half second
whether that very process still runs.
"""

from __future__ import annotations

import os
import threading
import time

from schemas.lease import process_start

__all__ = ["OWNER_VARIABLE", "SPARED_VARIABLE", "own_children", "owned_by", "watch_owner"]

OWNER_VARIABLE = "CORPUSMILL_OWNER"
# Of a process that has something to do when its run is gone, and then ends by itself: supervisors wait for it.
SPARED_VARIABLE = "CORPUSMILL_SPARED"
_POLL_SECONDS = 0.5


def owned_by(pid: int) -> None:
    """Name the process to whose life that of this process, and of all that it starts from now on, is tied."""
    os.environ[OWNER_VARIABLE] = f"{pid}:{process_start(pid)}"


def own_children() -> None:
    """Make this process the owner of all worker processes that it starts from now on."""
    owned_by(os.getpid())


def _exit_when_gone(pid: int, start: str) -> None:
    while process_start(pid) == start:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


def watch_owner() -> None:
    """Start the watching thread where an owner other than this process is named."""
    pid, _, start = os.environ.get(OWNER_VARIABLE, "").partition(":")
    if pid and int(pid) != os.getpid():
        threading.Thread(target=_exit_when_gone, args=(int(pid), start), daemon=True, name="lifeline").start()
