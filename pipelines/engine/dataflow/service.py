"""Dataflow's API, as much of it as a run needs: jobs by name, their state, what they say, cancelling."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import google.auth
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud import dataflow

from pipelines.engine.remote_job import JobDoesNotEndError, ServiceUnreachableError
from schemas.errors import ConfigError

__all__ = ["DataflowJob", "DataflowService", "DataflowUnreachableError", "require_credentials"]

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_CALL_SECONDS = 30.0
_ENDED = frozenset({"DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED"})


class DataflowUnreachableError(ServiceUnreachableError):
    """Dataflow's API does not answer, or refuses to; the message says why."""


@dataclass(frozen=True)
class DataflowJob:
    """A job as Dataflow sees it; `stages` and `stages_done` count what it has fused the steps into."""

    id: str
    name: str
    state: str
    stages: int = 0
    stages_done: int = 0

    @property
    def ended(self) -> bool:
        """Whether it is over, in whatever way."""
        return self.state in _ENDED


def require_credentials() -> Any:
    """The credentials of this machine, found by Google's own chain.

    Raises:
        ConfigError: there are none.
    """
    try:
        return google.auth.default(scopes=_SCOPES)[0]
    except DefaultCredentialsError as error:
        raise ConfigError(
            "no Google credentials on this machine; run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS to a key file"
        ) from error


def _state(job: Any) -> str:
    return str(dataflow.JobState(job.current_state).name).removeprefix("JOB_STATE_")


def _stages(job: Any) -> tuple[int, int]:
    done = dataflow.JobState.JOB_STATE_DONE
    return len(job.stage_states), sum(one.execution_stage_state == done for one in job.stage_states)


class DataflowService:
    """A client for the jobs of one project and region.

    Raises:
        ConfigError: there are no credentials, and the service is no emulator.
    """

    def __init__(self, project: str, region: str, endpoint: str) -> None:
        self._place = {"project_id": project, "location": region}
        emulated = endpoint.startswith("http://")
        common: dict[str, Any] = {
            "credentials": AnonymousCredentials() if emulated else require_credentials(),
            "client_options": ClientOptions(api_endpoint=endpoint if emulated else endpoint.removeprefix("https://")),
            "transport": "rest" if emulated else "grpc",
        }
        self._jobs = dataflow.JobsV1Beta3Client(**common)
        self._messages = dataflow.MessagesV1Beta3Client(**common)

    def _call(self, call: Any, request: Any) -> Any:
        try:
            return call(request=request, timeout=_CALL_SECONDS)
        except (exceptions.GoogleAPIError, GoogleAuthError, OSError) as error:
            reason = getattr(error, "message", None) or str(error)
            raise DataflowUnreachableError(f"Dataflow does not answer: {' '.join(reason.split())}") from error

    def job(self, name: str) -> DataflowJob | None:
        """The newest job of this name; None where the project has none.

        Raises:
            DataflowUnreachableError: no answer.
        """
        request = dataflow.ListJobsRequest(**self._place, name=name)
        jobs = [job for job in self._call(self._jobs.list_jobs, request) if job.name == name]
        if not jobs:
            return None
        newest = max(jobs, key=lambda job: str(job.create_time))
        return DataflowJob(newest.id, name, _state(newest))

    def details(self, job_id: str) -> DataflowJob:
        """A job with its stages.

        Raises:
            DataflowUnreachableError: no answer.
        """
        request = dataflow.GetJobRequest(**self._place, job_id=job_id, view=dataflow.JobView.JOB_VIEW_ALL)
        job = self._call(self._jobs.get_job, request)
        return DataflowJob(job_id, job.name, _state(job), *_stages(job))

    def messages(self, job_id: str, errors_only: bool = False) -> list[str]:
        """What the job says, oldest first.

        Raises:
            DataflowUnreachableError: no answer.
        """
        level = dataflow.JobMessageImportance
        least = level.JOB_MESSAGE_ERROR if errors_only else level.JOB_MESSAGE_BASIC
        request = dataflow.ListJobMessagesRequest(**self._place, job_id=job_id, minimum_importance=least)
        return [message.message_text for message in self._call(self._messages.list_job_messages, request)]

    def cancel(self, job_id: str, seconds: float = 300.0) -> None:
        """Cancel a job and wait until it has ended; machines take minutes to go.

        Raises:
            DataflowUnreachableError: no answer.
            JobDoesNotEndError: it has not ended in time.
        """
        cancelled = dataflow.Job(requested_state=dataflow.JobState.JOB_STATE_CANCELLED)
        self._call(self._jobs.update_job, dataflow.UpdateJobRequest(**self._place, job_id=job_id, job=cancelled))
        deadline = time.monotonic() + seconds
        while not self.details(job_id).ended:
            if time.monotonic() > deadline:
                raise JobDoesNotEndError(
                    f"Dataflow's job {job_id} was cancelled and does not end; "
                    f"`gcloud dataflow jobs cancel --force {job_id}` ends it"
                )
            time.sleep(1)
