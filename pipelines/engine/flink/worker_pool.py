"""Starts Python workers for the task managers of its host: Beam's external worker pool, for more than one of them.

Run as `python -m pipelines.engine.flink.worker_pool PORT SCRIPT`. Beam's own pool knows workers by their id alone, and
two task managers both number theirs from 1: when one of them stopped its worker, the pool killed the other's, whose
bundle failed with "client cancelled" and made the job start again. Here no worker is killed: each ends by itself when
its runner or its job is gone (`worker_boot`).

A task manager waits for a worker that it asked for without end, so one that dies before it has connected would keep
the job for ever: a worker that dies while its runner still listens is started again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from pipelines.engine.flink.description import listens
from pipelines.engine.flink.worker_boot import READY_VARIABLE

__all__ = ["WorkerPool", "main"]

_STARTS, _PAUSE_SECONDS = 4, 1.0
_START_SECONDS = 120.0


class _Worker(threading.Thread):
    """A worker that is started again while it dies and its runner listens."""

    def __init__(self, command: list[str], control: str) -> None:
        super().__init__(daemon=True, name=f"worker {control}")
        self._command = command
        self._control = control
        self._settled = threading.Event()
        self._ready = False

    def run(self) -> None:
        """Start it, and look after it until it has ended."""
        for _ in range(_STARTS):
            if self._start_and_wait() == 0 or not listens(self._control):
                break
            time.sleep(_PAUSE_SECONDS)
        self._settled.set()

    def _start_and_wait(self) -> int:
        ours, theirs = os.pipe()
        env = {**os.environ, READY_VARIABLE: str(theirs)}
        with subprocess.Popen(self._command, stdin=subprocess.DEVNULL, pass_fds=(theirs,), env=env) as worker:  # noqa: S603
            os.close(theirs)
            with os.fdopen(ours, "rb") as pipe:
                if pipe.read(1):
                    self._ready = True
                    self._settled.set()
        return worker.returncode

    def has_started(self) -> bool:
        """Wait until it has, or cannot."""
        return self._settled.wait(_START_SECONDS) and self._ready


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """The service that Beam's runners call to start and stop workers; `script` becomes one."""

    def __init__(self, script: str) -> None:
        self._script = script

    def StartWorker(self, request: Any, _context: Any) -> Any:  # noqa: N802  # the name is the service's
        """Start one worker; the answer says why it does not."""
        endpoints = {
            "logging": request.logging_endpoint.url,
            "artifact": request.artifact_endpoint.url,
            "provision": request.provision_endpoint.url,
            "control": request.control_endpoint.url,
        }
        flags = [f"--{name}_endpoint={url}" for name, url in endpoints.items()]
        command = [self._script, f"--id={request.worker_id}", *flags]
        worker = _Worker(command, endpoints["control"])
        worker.start()
        # The answer waits for the worker: where the pool dies meanwhile, the task fails and is tried again.
        error = (
            "" if worker.has_started() else f"the Python worker does not start; see {self._script} and log/workers.log"
        )
        return beam_fn_api_pb2.StartWorkerResponse(error=error)

    def StopWorker(self, _request: Any, _context: Any) -> Any:  # noqa: N802  # the name is the service's
        """Nothing: the worker notices that its runner is gone."""
        return beam_fn_api_pb2.StopWorkerResponse()


def main() -> None:
    """Serve until killed; workers watch this process and end with it."""
    port, script = int(sys.argv[1]), sys.argv[2]
    server = grpc.server(ThreadPoolExecutor(max_workers=32))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(WorkerPool(script), server)
    server.add_insecure_port(f"localhost:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
