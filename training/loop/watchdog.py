"""Ends a process that gives no sign of life for too long, after saying where it stands."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Watchdog", "watched"]

_LOOKS = 20  # within the limit
# Who may be waiting for others is given longer, so that the one they wait for is found first.
_WAITING = 1.5
# Reading all shards through for their checksums is part of starting.
_STARTING = 10.0


class Watchdog:
    """Looks on from a thread.

    Args:
        name: of the process, for the message.
        limit_seconds: without a sign of life.
    """

    def __init__(self, name: str, limit_seconds: float) -> None:
        self._name, self._limit = name, limit_seconds
        self._doing = "starting"
        self._lock = threading.Lock()
        self._silent, self._allowed = 0.0, limit_seconds * _STARTING
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="watchdog", daemon=True)

    def sign(self, doing: str, alone: bool = False) -> None:
        """Show a sign of life, and say what comes next; `alone` if no other process takes part in that."""
        with self._lock:
            self._doing, self._silent = doing, 0.0
            self._allowed = self._limit * (1.0 if alone else _WAITING)

    def begin(self) -> None:
        """Look on from now on."""
        self._thread.start()

    def end(self) -> None:
        """Look away."""
        self._ended.set()
        self._thread.join()

    def _look_on(self) -> None:
        pause = min(1.0, self._limit / _LOOKS)
        before = time.monotonic()
        while not self._ended.wait(pause):
            now = time.monotonic()
            with self._lock:
                # A process that was stopped as a whole and goes on has not hung meanwhile.
                self._silent += min(now - before, 2 * pause)
                silent, allowed, doing = self._silent, self._allowed, self._doing
            before = now
            if silent > allowed:
                self._give_up(doing, allowed)

    def _give_up(self, doing: str, seconds: float) -> None:
        sys.stderr.write(
            f"corpusmill: {self._name} hangs: no sign of life for {seconds:g} s while {doing}. Where all its "
            "threads stand:\n"
        )
        sys.stderr.flush()
        faulthandler.dump_traceback(file=2)
        os._exit(1)


@contextmanager
def watched(name: str, limit_seconds: float) -> Iterator[Watchdog]:
    """A watchdog while the body runs."""
    dog = Watchdog(name, limit_seconds)
    dog.begin()
    try:
        yield dog
    finally:
        dog.end()
