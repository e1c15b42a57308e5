"""Worker processes of the local engine that end at once where a run ends early.

Beam's own handler waits for its worker to finish what it does, which after an error or a signal may be never: the
worker waits for data that nobody sends any more.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import ClassVar
from weakref import WeakSet

from apache_beam.portability import python_urns
from apache_beam.runners.portability import local_job_service
from apache_beam.runners.portability.fn_api_runner import worker_handlers

from pipelines.engine import worker

__all__ = ["LocalWorkers", "end_workers"]

# A worker that has nothing to do ends in a fraction of this once its channels are closed.
_GRACE_SECONDS = 2.0


def end_workers() -> None:
    """Kill the workers that this process has started (Linux; elsewhere they end as Beam has it)."""
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # threads and processes end meanwhile
            for pid in listing.read_text().split():
                if worker.__name__.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(int(pid), signal.SIGKILL)


@worker_handlers.WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)
class LocalWorkers(worker_handlers.SubprocessSdkWorkerHandler):
    """Takes the place of Beam's handler of processes."""

    _all: ClassVar[WeakSet[LocalWorkers]] = WeakSet()

    def start_worker(self) -> None:
        """Start the process, and a thread that waits for its end."""
        self.worker = local_job_service.SubprocessSdkWorker(
            self._worker_command_line, self.control_address, self.provision_info, self.worker_id
        )
        self._ended_early = False
        self._all.add(self)
        self.worker_thread = threading.Thread(name="run_worker", target=self._run)
        self.worker_thread.start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except RuntimeError:  # its exit code
            if not self._ended_early:
                raise

    def stop_worker(self) -> None:
        """Wait for the process; where the run ends by an exception, not for long."""
        if sys.exc_info()[0] is not None:
            self.worker_thread.join(_GRACE_SECONDS)
        if sys.exc_info()[0] is not None and self.worker_thread.is_alive():
            for one in self._all:
                one._ended_early = True
            end_workers()
        super().stop_worker()
