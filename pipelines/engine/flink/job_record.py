"""What is on disk of a Flink job before it runs: its name, and where to cancel it.

A driver that is killed leaves its job behind. The record lies in the work folder of the unit that the job is for, so
whoever takes the unit's lease next finds it and cancels the job first.
"""

from __future__ import annotations

import json
import logging
import time

from pipelines.engine.flink.rest import ENDED, FlinkRest, FlinkUnreachableError, JobDoesNotEndError
from schemas.errors import StageError
from schemas.storage import Folder

__all__ = ["RECORD_NAME", "cancel_left_over", "write_record"]

RECORD_NAME = "flink-job.json"
# Longer than a manager takes to start again, and than the heartbeat after which its tasks end without it.
_PATIENCE_SECONDS = 15.0
_LOG = logging.getLogger(__name__)


def write_record(folder: Folder, job: str, rest: str | None) -> None:
    """Leave word of a job that is about to be submitted.

    Args:
        folder: the unit's work folder.
        job: the job's name, which no other job has.
        rest: URL of the API of the cluster that will run it; None where it has none.
    """
    folder.put_whole(RECORD_NAME, json.dumps({"job": job, "rest": rest}).encode())


def _cancel(rest: FlinkRest, name: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            job = rest.job(name)
            if job is not None and job.state not in ENDED:
                _LOG.warning("cancelling Flink job %s of a run that was killed", name)
                rest.cancel(job.id)
            return
        except JobDoesNotEndError as error:
            raise StageError(f"{error}; `corpusmill flink down` ends it, then run the same command again") from error
        except FlinkUnreachableError as error:
            if time.monotonic() > deadline:
                _LOG.warning("left Flink job %s alone: %s", name, error)
                return
            time.sleep(0.5)


def cancel_left_over(folder: Folder) -> None:
    """Cancel the jobs that a killed driver has left running for a unit, and wait for their end.

    A cluster that has not answered for a while runs none of them any more: task managers end them when they miss their
    manager.

    Args:
        folder: the unit's work folder, with whatever is below it.

    Raises:
        StageError: such a job does not end.
    """
    for place in folder.find(RECORD_NAME):
        record = json.loads(folder.child(place).read(RECORD_NAME))
        if record["rest"]:
            _cancel(FlinkRest(record["rest"]), record["job"])
