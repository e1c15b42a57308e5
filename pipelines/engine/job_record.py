"""What is on disk of a remote job before it runs: its name, and where to cancel it.

A driver that is killed leaves its job behind. The record lies in the work folder of the unit that the job is for, so
whoever takes the unit's lease next finds it and cancels the job first.
"""

from __future__ import annotations

import logging
import time

from pipelines.engine.remote_job import JobDoesNotEndError, JobRecord, ServiceUnreachableError, service_of
from schemas.errors import StageError
from schemas.storage import Folder

__all__ = ["RECORD_NAME", "cancel_left_over", "write_record"]

RECORD_NAME = "remote-job.json"
# Longer than Flink's manager takes to start again, and than the heartbeat after which its tasks end without it.
_PATIENCE_SECONDS = 15.0
_LOG = logging.getLogger(__name__)


def write_record(folder: Folder, record: JobRecord) -> None:
    """Leave word of a job that is about to be submitted, in the unit's work folder."""
    folder.put_whole(RECORD_NAME, record.model_dump_json().encode())


def _cancel(record: JobRecord) -> None:
    service = service_of(record)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            job = service.job(record.job)
            if job is not None and not job.ended:
                _LOG.warning("cancelling %s job %s of a run that was killed", record.engine, record.job)
                service.cancel(job.id)
            return
        except JobDoesNotEndError as error:
            raise StageError(f"{error}, then run the same command again") from error
        except ServiceUnreachableError as error:
            if time.monotonic() > deadline:
                _LOG.warning("left %s job %s alone: %s", record.engine, record.job, error)
                return
            time.sleep(0.5)


def cancel_left_over(folder: Folder) -> None:
    """Cancel the jobs that a killed driver has left running for a unit, and wait for their end.

    A Flink cluster that has not answered for a while runs none of them any more: task managers end them when they
    miss their manager.

    Args:
        folder: the unit's work folder, with whatever is below it.

    Raises:
        StageError: such a job does not end.
    """
    for place in folder.find(RECORD_NAME):
        _cancel(JobRecord.model_validate_json(folder.child(place).read(RECORD_NAME)))
