"""Becomes a Python worker of a Flink job: Beam's container contract, without a container.

Started by a task manager or by the worker pool with the endpoints as flags, never by hand. It asks the provision
service for the job's options, bounds its own memory, ties its life to the process that started it, and is Beam's
harness from then on. Nothing is staged: workers run the code that is installed beside them.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import threading
import time
from typing import Any

from pipelines.engine.flink.description import listens
from pipelines.engine.flink.rest import FlinkRest, FlinkUnreachableError
from pipelines.engine.lifeline import owned_by, watch_owner
from schemas.process_exit import leave

__all__ = ["MEMORY_VARIABLE", "READY_VARIABLE", "main"]

MEMORY_VARIABLE = "CORPUSMILL_WORKER_MB"
READY_VARIABLE = "CORPUSMILL_WORKER_READY"  # file descriptor of the pipe in which the worker says that it has started
_ENDPOINTS = ("id", "logging_endpoint", "artifact_endpoint", "provision_endpoint", "control_endpoint")
_PROVISION_SECONDS = 30.0
_PROBE_SECONDS, _PROBES = 2.0, 2


def _bound_memory(megabytes: int) -> None:
    # Of anonymous memory, so that mapped files do not count; at the bound Python raises MemoryError, the bundle fails
    # with that name, and neither the machine nor its other workers suffer.
    resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 2**20, megabytes * 2**20))


class _Job:
    """The job that this worker is for, where Flink can be asked about it."""

    def __init__(self, options: dict[str, Any]) -> None:
        master = options.get("beam:option:flink_master:v1") or "["
        self._rest = None if master.startswith("[") else FlinkRest(f"http://{master}")  # [local], [auto]
        self._name = options.get("beam:option:job_name:v1") or ""
        self._seen = False

    def has_ended(self) -> bool:
        """Whether Flink says so, or has forgotten a job that it knew, as a manager has that was started again."""
        if self._rest is None:
            return False
        try:
            job = self._rest.job(self._name)
        except FlinkUnreachableError:
            return False
        self._seen = self._seen or job is not None
        return job.ended if job is not None else self._seen


def _exit_unwanted(control: str, job: _Job) -> None:
    missed = 0
    while missed < _PROBES:
        time.sleep(_PROBE_SECONDS)
        missed = missed + 1 if not listens(control) or job.has_ended() else 0
    os._exit(0)


def _watch_runner(control: str, options: dict[str, Any]) -> None:
    """End this process once its runner no longer listens, or its job has ended.

    The harness does so by itself in most cases, but not while it hangs in a step. And a runner whose job is cancelled
    while it opens a step keeps the worker, and its connection, until the task manager ends (seen with Beam 2.62).
    """
    threading.Thread(target=_exit_unwanted, args=(control, _Job(options)), daemon=True, name="runner").start()


def _prepare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Put what the harness reads into the environment; gives the options of the pipeline.

    A pool is told all endpoints; a task manager that starts its workers itself names the provision service alone.
    """
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc, endpoints_pb2
    from apache_beam.runners.worker.worker_id_interceptor import WorkerIdInterceptor
    from google.protobuf import json_format, text_format

    def descriptor(url: str) -> str:
        return str(text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url)))

    with grpc.insecure_channel(arguments.provision_endpoint) as plain:
        channel = grpc.intercept_channel(plain, WorkerIdInterceptor(arguments.id))
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        info = service.GetProvisionInfo(request, timeout=_PROVISION_SECONDS).info
    arguments.control_endpoint = info.control_endpoint.url or arguments.control_endpoint
    os.environ["WORKER_ID"] = arguments.id
    os.environ["PIPELINE_OPTIONS"] = json_format.MessageToJson(info.pipeline_options)
    os.environ["CONTROL_API_SERVICE_DESCRIPTOR"] = descriptor(arguments.control_endpoint)
    os.environ["LOGGING_API_SERVICE_DESCRIPTOR"] = descriptor(info.logging_endpoint.url or arguments.logging_endpoint)
    os.environ["RUNNER_CAPABILITIES"] = " ".join(info.runner_capabilities)
    if info.status_endpoint.url:
        os.environ["STATUS_API_SERVICE_DESCRIPTOR"] = descriptor(info.status_endpoint.url)
    return dict(json_format.MessageToDict(info.pipeline_options))


def main() -> None:
    """Serve bundles until the runner ends the control channel, or whoever started us is gone."""
    owned_by(os.getppid())
    watch_owner()
    parser = argparse.ArgumentParser()
    for name in _ENDPOINTS:
        parser.add_argument(f"--{name}", default="")
    arguments, _ = parser.parse_known_args()
    if os.environ.get(MEMORY_VARIABLE):
        _bound_memory(int(os.environ[MEMORY_VARIABLE]))
    options = _prepare(arguments)
    _watch_runner(arguments.control_endpoint, options)
    if os.environ.get(READY_VARIABLE):
        os.write(int(os.environ.pop(READY_VARIABLE)), b"ready")
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv[:1])
    leave(0)


if __name__ == "__main__":
    main()
