"""Cancels a Flink job when the run that submitted it is killed.

Started by the run as `python -m pipelines.engine.flink.watch REST JOB`, in a session of its own. The run holds the
other end of the pipe that is our standard input: it writes a line there when the job has ended. Where the pipe closes
without one, the run is gone, by SIGKILL too, and the job goes with it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pipelines.engine.flink.rest import ENDED, FlinkRest, FlinkUnreachableError, JobDoesNotEndError

__all__ = ["cancel_by_name", "main", "watched"]

# A job that was submitted in the last moment before the kill shows up in Flink only after its graph is translated.
_APPEARS_SECONDS = 20.0
_WAIT_SECONDS = 10.0


def cancel_by_name(rest: FlinkRest, name: str, seconds: float) -> bool:
    """Cancel the job of this name, waiting so long for Flink to know it and to answer; gives whether it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(FlinkUnreachableError, JobDoesNotEndError):
            job = rest.job(name)
            if job is not None:
                if job.state not in ENDED:
                    rest.cancel(job.id)
                return True
        time.sleep(0.5)
    return False


@contextmanager
def watched(rest: str | None, job: str) -> Iterator[Callable[[], None]]:
    """Have a job cancelled if the body raises or this process is killed before the given function was called."""
    if rest is None:
        yield lambda: None
        return
    command, quiet = [sys.executable, "-m", __name__, rest, job], subprocess.DEVNULL
    watcher = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True, bufsize=0
    )
    pipe = watcher.stdin
    assert pipe is not None

    def let_go() -> None:
        with suppress(BrokenPipeError):  # somebody has killed the watcher
            pipe.write(b"ended\n")

    try:
        yield let_go
    finally:
        pipe.close()
        with suppress(subprocess.TimeoutExpired):  # it does the rest without us
            watcher.wait(_WAIT_SECONDS)


def main() -> None:
    """Wait for the word, or for the end of the pipe."""
    if not sys.stdin.readline():
        cancel_by_name(FlinkRest(sys.argv[1]), sys.argv[2], _APPEARS_SECONDS)


if __name__ == "__main__":
    main()
