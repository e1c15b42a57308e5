"""What Flink and Dataflow have in common for us: a service that runs jobs, asked about them by name.

A job's name is ours and unique, and it is on disk before the service has heard of it; its id is the service's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pydantic import BaseModel, ConfigDict

__all__ = ["JobDoesNotEndError", "JobRecord", "JobService", "RemoteJob", "ServiceUnreachableError", "service_of"]


class ServiceUnreachableError(Exception):
    """The service does not answer; the message says where."""


class JobDoesNotEndError(Exception):
    """A job was cancelled and has not ended."""


class RemoteJob(Protocol):
    """A job as its service sees it."""

    @property
    def id(self) -> str:
        """The service's name for it."""

    @property
    def ended(self) -> bool:
        """Whether it is over, in whatever way."""


class JobService(Protocol):
    """The calls that end jobs of killed runs; each raises `ServiceUnreachableError` where nobody answers."""

    def job(self, name: str) -> RemoteJob | None:
        """The newest job of this name; None where the service knows none."""

    def cancel(self, job_id: str) -> None:
        """Cancel a job and wait for its end; raises `JobDoesNotEndError`."""


class JobRecord(BaseModel):
    """All that it takes to find a job again: the engine, the job's name, and where the engine's service is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: str
    job: str
    where: dict[str, str]


def _flink(where: dict[str, str]) -> JobService:
    from pipelines.engine.flink.rest import FlinkRest

    return FlinkRest(where["rest"])


def _dataflow(where: dict[str, str]) -> JobService:
    from pipelines.engine.dataflow.service import DataflowService

    return DataflowService(where["project"], where["region"], where["endpoint"])


_SERVICES: dict[str, Callable[[dict[str, str]], JobService]] = {"flink": _flink, "dataflow": _dataflow}


def service_of(record: JobRecord) -> JobService:
    """The service that runs the job of the record."""
    return _SERVICES[record.engine](record.where)
