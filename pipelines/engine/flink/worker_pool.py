"""Starts Python workers for the task managers of its host: Beam's external worker pool, for more than one of them.

Run as `python -m pipelines.engine.flink.worker_pool PORT SCRIPT`. Beam's own pool knows workers by their id alone, and
two task managers both number theirs from 1: when one of them stopped its worker, the pool killed the other's, whose
bundle failed with "client cancelled" and made the job start again. Here no worker is killed: each ends by itself when
its runner or its job is gone (`worker_boot`), and is only cleared away.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

__all__ = ["WorkerPool", "main"]


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """The service that Beam's runners call to start and stop workers; `script` becomes one."""

    def __init__(self, script: str) -> None:
        self._script = script

    def StartWorker(self, request: Any, _context: Any) -> Any:  # noqa: N802  # the name is the service's
        """Start one worker, and clear it away when it has ended."""
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
        threading.Thread(target=worker.wait, daemon=True, name=f"worker-{worker.pid}").start()
        return beam_fn_api_pb2.StartWorkerResponse()

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
