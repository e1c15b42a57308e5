"""What is on disk of a Flink job before it runs: its name, and where to cancel it.

A driver that is killed leaves its job behind. The record lies in the work folder of the unit that the job is for, so
whoever takes the unit's lease next finds it and cancels the job first.
"""

from __future__ import annotations

import json
import logging

from pipelines.engine.flink.rest import ENDED, FlinkRest, FlinkUnreachableError
from schemas.storage import Folder

__all__ = ["RECORD_NAME", "cancel_left_over", "write_record"]

RECORD_NAME = "flink-job.json"
_LOG = logging.getLogger(__name__)


def write_record(folder: Folder, job: str, rest: str | None) -> None:
    """Leave word of a job that is about to be submitted.

    Args:
        folder: the unit's work folder.
        job: the job's name, which no other job has.
        rest: URL of the API of the cluster that will run it; None where it has none.
    """
    folder.put_whole(RECORD_NAME, json.dumps({"job": job, "rest": rest}).encode())


def cancel_left_over(folder: Folder) -> None:
    """Cancel the jobs that a killed driver has left running for a unit, and wait for their end.

    A cluster that does not answer runs none of them any more, or will end them when it misses its manager.

    Args:
        folder: the unit's work folder, with whatever is below it.
    """
    for place in folder.find(RECORD_NAME):
        record = json.loads(folder.child(place).read(RECORD_NAME))
        if not record["rest"]:
            continue
        rest = FlinkRest(record["rest"])
        try:
            job = rest.job(record["job"])
            if job is not None and job.state not in ENDED:
                _LOG.warning("cancelling Flink job %s of a run that was killed", job.name)
                rest.cancel(job.id)
        except FlinkUnreachableError as error:
            _LOG.warning("left Flink job %s alone: %s", record["job"], error)
