"""Stopping between two steps when asked to, and keeping a second process out of a run's folder."""

from __future__ import annotations

import fcntl
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from schemas.errors import LeaseError

__all__ = ["StopRequest", "hold_run", "stop_on_signals"]


class StopRequest:
    """Name of the signal that asked for a stop; None while none did."""

    def __init__(self) -> None:
        self.signal_name: str | None = None

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Signal handler: remember the signal, and let a second one of its kind end the process at once."""
        self.signal_name = signal.Signals(number).name
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a request while the body runs (in the main thread; elsewhere nothing happens)."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
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
