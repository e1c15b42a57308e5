"""Starts Python workers for the task managers of its host: Beam's external worker pool, for more than one of them.

Run as `python -m pipelines.engine.flink.worker_pool PORT SCRIPT`. Beam's own pool knows workers by their id alone, and
two task managers both number theirs from 1: when one of them stopped its worker, the pool killed the other's, whose
bundle failed with "client cancelled" and made the job start again. Here a worker to be stopped is the one whose runner
no longer listens.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

__all__ = ["WorkerPool", "main"]

# A worker ends by itself when its runner closes the control channel; one that hangs in a step does not.
_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.5


def _listens(endpoint: str) -> bool:
    host, _, port = endpoint.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """The service that Beam's runners call to start and stop workers; `script` becomes one."""

    def __init__(self, script: str) -> None:
        self._script = script
        self._workers: dict[str, list[tuple[subprocess.Popen[bytes], str]]] = defaultdict(list)
        self._lock = threading.Lock()

    def StartWorker(self, request: Any, _context: Any) -> Any:  # noqa: N802  # the name is the service's
        """Start one worker."""
        endpoints = {
            "logging": request.logging_endpoint.url,
            "artifact": request.artifact_endpoint.url,
            "provision": request.provision_endpoint.url,
            "control": request.control_endpoint.url,
        }
        flags = [f"--{name}_endpoint={url}" for name, url in endpoints.items()]
        try:
            worker = subprocess.Popen([self._script, f"--id={request.worker_id}", *flags], stdin=subprocess.DEVNULL)  # noqa: S603
        except OSError as error:
            return beam_fn_api_pb2.StartWorkerResponse(error=str(error))
        with self._lock:
            self._workers[request.worker_id].append((worker, endpoints["control"]))
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, _context: Any) -> Any:  # noqa: N802  # the name is the service's
        """See to it that the workers of this id whose runner is gone end soon."""
        threading.Thread(target=self._end, args=(request.worker_id,), daemon=True).start()
        return beam_fn_api_pb2.StopWorkerResponse()

    def _end(self, worker_id: str) -> None:
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline and self.reap(worker_id):
            time.sleep(_LOOK_SECONDS)
        with self._lock:
            left = list(self._workers[worker_id])
        for worker, control in left:
            if not _listens(control):
                worker.kill()
        self.reap(worker_id)

    def reap(self, worker_id: str) -> int:
        """Forget the workers of this id that have ended; gives how many have not."""
        with self._lock:
            alive = [entry for entry in self._workers[worker_id] if entry[0].poll() is None]
            self._workers[worker_id] = alive
        return len(alive)


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
