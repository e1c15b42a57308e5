"""Cancels a Flink job when the run that submitted it is killed.

Started by the run as `python -m pipelines.engine.flink.watch REST JOB`, in a session of its own. The run holds the
other end of the pipe that is our standard input: it writes a line there when the job has ended. Where the pipe closes
without one, the run is gone, by SIGKILL too, and the job goes with it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pipelines.engine.flink.rest import ENDED, FlinkRest, FlinkUnreachableError

__all__ = ["cancel_by_name", "main", "watched"]

# A job that was submitted in the last moment before the kill shows up in Flink only after its graph is translated.
_APPEARS_SECONDS = 20.0


def cancel_by_name(rest: FlinkRest, name: str, seconds: float) -> bool:
    """Cancel the job of this name, waiting so long for Flink to know it and to answer; gives whether it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(FlinkUnreachableError):
            job = rest.job(name)
            if job is not None:
                if job.state not in ENDED:
                    rest.cancel(job.id)
                return True
        time.sleep(0.5)
    return False


@contextmanager
def watched(rest: str | None, job: str) -> Iterator[None]:
    """Have a job cancelled if this process is killed while the body runs."""
    if rest is None:
        yield
        return
    command = [sys.executable, "-m", __name__, rest, job]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True
    ) as watcher:
        assert watcher.stdin is not None
        yield  # an exception passes: the pipe closes without a line, and the watcher sees to the job
        with suppress(BrokenPipeError):
            watcher.stdin.write(b"ended\n")


def main() -> None:
    """Wait for the word, or for the end of the pipe."""
    if not sys.stdin.readline():
        cancel_by_name(FlinkRest(sys.argv[1]), sys.argv[2], _APPEARS_SECONDS)


if __name__ == "__main__":
    main()
