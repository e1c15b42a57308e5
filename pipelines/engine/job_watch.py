"""Cancels a remote job when the run that submitted it is killed.

Started by the run as `python -m pipelines.engine.job_watch RECORD`, in a session of its own. The run holds the other
end of the pipe that is our standard input: it writes a line there when the job has ended. Where the pipe closes
without one, the run is gone, by SIGKILL too, and the job goes with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pipelines.engine.lifeline import SPARED_VARIABLE
from pipelines.engine.remote_job import JobDoesNotEndError, JobRecord, ServiceUnreachableError, service_of

__all__ = ["cancel_by_name", "main", "watched"]

# A job that was submitted in the last moment before the kill shows up only after its graph is translated. One that does
# so later is cancelled by the next run, which finds its record.
_APPEARS_SECONDS = 11.0  # a supervisor waits for twelve
_WAIT_SECONDS = 10.0


def cancel_by_name(record: JobRecord, seconds: float) -> bool:
    """Cancel a job, waiting so long for its service to know it and to answer; gives whether it has ended."""
    service = service_of(record)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(ServiceUnreachableError, JobDoesNotEndError):
            job = service.job(record.job)
            if job is not None:
                if not job.ended:
                    service.cancel(job.id)
                return True
        time.sleep(0.5)
    return False


@contextmanager
def watched(record: JobRecord) -> Iterator[Callable[[], None]]:
    """Have a job cancelled if the body raises or this process is killed before the given function was called."""
    command, quiet = [sys.executable, "-m", __name__, record.model_dump_json()], subprocess.DEVNULL
    env = {**os.environ, SPARED_VARIABLE: "1"}
    watcher = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True, bufsize=0, env=env
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
        cancel_by_name(JobRecord.model_validate_json(sys.argv[1]), _APPEARS_SECONDS)


if __name__ == "__main__":
    main()
