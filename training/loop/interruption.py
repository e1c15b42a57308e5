"""Stopping between two steps when asked to, and keeping a second process out of a run's folder."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from schemas.errors import LeaseError

__all__ = ["StopRequest", "hold_run", "stop_on_signals"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_END = 0  # no signal has this number


class StopRequest:
    """Name of the signal that asked for a stop; None while none did.

    Args:
        once: a second signal of its kind ends the process at once.
    """

    def __init__(self, once: bool = True) -> None:
        self.signal_name: str | None = None
        self._once = once

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Signal handler: remember the signal."""
        self.signal_name = signal.Signals(number).name
        if self._once:
            signal.signal(number, signal.SIG_DFL)


class _Grace:
    """A thread that ends the process where it has not ended by itself so long after a signal.

    It hears of the signal from the C level, so that a main thread in the middle of a long operation delays nothing.
    """

    def __init__(self, seconds: float, speaks: bool) -> None:
        self._seconds, self._speaks = seconds, speaks
        self._reads, self._writes = os.pipe()
        os.set_blocking(self._writes, False)
        self._before = signal.set_wakeup_fd(self._writes, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._wait, name="grace", daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        asked, deadline = 0, 0.0
        while True:
            left = max(0.0, deadline - time.monotonic()) if asked else None
            if not select.select([self._reads], [], [], left)[0]:
                self._give_up(asked)
            (number,) = os.read(self._reads, 1)
            if number == _END:
                return
            if number in _SIGNALS and not asked:
                asked, deadline = number, time.monotonic() + self._seconds

    def _give_up(self, number: int) -> None:
        if self._speaks:
            sys.stderr.write(
                f"corpusmill: stopped by {signal.Signals(number).name}; no checkpoint was saved within the "
                f"{self._seconds:g} s of grace, and the last one stands; run the same command again to go on\n"
            )
            sys.stderr.flush()
        os._exit(1)

    def close(self) -> None:
        """Let the thread end."""
        signal.set_wakeup_fd(self._before)
        os.write(self._writes, bytes([_END]))
        self._thread.join()
        os.close(self._reads)
        os.close(self._writes)


@contextmanager
def stop_on_signals(grace_seconds: float = 20.0, rank: int = 0, size: int = 1) -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a request while the body runs (in the main thread; elsewhere nothing happens).

    Args:
        grace_seconds: the process ends so long after the request, whatever the body does.
        rank: the first one speaks for all.
        size: of many ranks each may be asked twice, by whoever started them and by the terminal.
    """
    request = StopRequest(once=size == 1)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.note) for number in _SIGNALS}
    grace = _Grace(grace_seconds, speaks=rank == 0)
    try:
        yield request
    finally:
        grace.close()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def hold_run(run: str) -> Iterator[None]:
    """Hold the run's folder while the body runs; the system lets go of it when the process ends, however it ends.

    Raises:
        LeaseError: another process trains in it.
    """
    with (Path(run) / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LeaseError(f"another process trains in {run}; wait for it or stop it, then run again") from error
        yield
