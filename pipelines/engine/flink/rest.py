"""Flink's REST API, as much of it as a run needs: slots, jobs by name, their progress, why they failed, cancelling."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from typing import Any

import httpx

from pipelines.engine.remote_job import JobDoesNotEndError, ServiceUnreachableError

__all__ = ["FlinkJob", "FlinkRest", "FlinkUnreachableError", "Vertex"]

# A line for each request, two a second, would bury everything else in the logs of runs and workers.
logging.getLogger("httpx").setLevel(logging.WARNING)

_ENDED = frozenset({"FINISHED", "FAILED", "CANCELED"})
_STEP = re.compile(r"\[\d+\](\S(?:[^\]()]|\([^()]*\))*)\)")
_GROUP = re.compile(r"GroupReduce at ([^)]*)\)")
_UNNAMED = re.compile(r"/\{?(?:Flat)?Map\(.*")  # steps that Beam puts into one of ours, such as a Create


class FlinkUnreachableError(ServiceUnreachableError):
    """Flink's REST API does not answer; the message says where."""


@dataclass(frozen=True)
class Vertex:
    """One task of a job's graph, with the names of the Beam steps in it; `seconds` of wall time."""

    steps: str
    state: str
    parallelism: int
    records_in: int
    records_out: int
    seconds: float


@dataclass(frozen=True)
class FlinkJob:
    """A job as Flink sees it."""

    id: str
    name: str
    state: str
    vertices: tuple[Vertex, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether it is over, in whatever way."""
        return self.state in _ENDED


def _steps_of(name: str) -> str:
    """The Beam steps in a task's name; empty for what Flink adds of its own (sources, partitions, sinks)."""
    found = _STEP.search(name) or _GROUP.search(name)
    return _UNNAMED.sub("", found[1]) if found else ""


def _vertex(row: dict[str, Any]) -> Vertex:
    metrics = row["metrics"]
    return Vertex(
        steps=_steps_of(row["name"]),
        state=row["status"],
        parallelism=row["parallelism"],
        records_in=metrics["read-records"],
        records_out=metrics["write-records"],
        seconds=max(row["duration"], 0) / 1000,
    )


class FlinkRest:
    """A client of one cluster's API."""

    def __init__(self, url: str, timeout_seconds: float = 10.0) -> None:
        self.url = url.rstrip("/")
        # Flink closes connections as it likes, so that each request has its own. The client stays: making one reads
        # the certificates of all authorities, 24 ms of CPU against 2 ms for the request.
        no_waiting = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(timeout=timeout_seconds, trust_env=False, limits=no_waiting)

    def _request(self, method: str, path: str, *fine: int) -> httpx.Response:
        try:
            answer = self._client.request(method, f"{self.url}{path}")
            if answer.status_code not in fine:
                answer.raise_for_status()
        except httpx.HTTPError as error:
            raise FlinkUnreachableError(f"Flink's JobManager at {self.url} does not answer ({error})") from error
        return answer

    def get(self, path: str) -> Any:
        """The JSON answer to a GET.

        Raises:
            FlinkUnreachableError: no answer.
        """
        return self._request("GET", path).json()

    def slots(self) -> tuple[int, int]:
        """Task managers that are alive, and their slots together.

        Raises:
            FlinkUnreachableError: no answer.
        """
        overview = self.get("/overview")
        return overview["taskmanagers"], overview["slots-total"]

    def job(self, name: str) -> FlinkJob | None:
        """The job of this name, newest first; None where Flink knows none.

        Raises:
            FlinkUnreachableError: no answer.
        """
        jobs = [job for job in self.get("/jobs/overview")["jobs"] if job["name"] == name]
        if not jobs:
            return None
        newest = max(jobs, key=lambda job: job["start-time"])
        return FlinkJob(newest["jid"], name, newest["state"])

    def details(self, job_id: str) -> FlinkJob | None:
        """A job with its vertices; None where Flink does not know it any more.

        Raises:
            FlinkUnreachableError: no answer.
        """
        answer = self._request("GET", f"/jobs/{job_id}", httpx.codes.NOT_FOUND)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        job = answer.json()
        return FlinkJob(job_id, job["name"], job["state"], tuple(_vertex(row) for row in job["vertices"]))

    def failure(self, job_id: str) -> str:
        """The text of the exception that ended a job; empty where there is none."""
        history = self.get(f"/jobs/{job_id}/exceptions").get("exceptionHistory", {}).get("entries", [])
        return "\n".join(entry.get("stacktrace") or "" for entry in history)

    def cancel(self, job_id: str, seconds: float = 30.0) -> None:
        """Cancel a job and wait until it has ended.

        Raises:
            FlinkUnreachableError: no answer.
            JobDoesNotEndError: it has not ended in time.
        """
        self._request("PATCH", f"/jobs/{job_id}")
        deadline = time.monotonic() + seconds
        while (job := self.details(job_id)) is not None and not job.ended:
            if time.monotonic() > deadline:
                raise JobDoesNotEndError(
                    f"Flink's job {job_id} at {self.url} does not end when cancelled; `corpusmill flink down` ends it"
                )
            time.sleep(0.2)
