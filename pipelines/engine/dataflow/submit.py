"""One pipeline as one job of Dataflow: submitted, followed to its end, cancelled where the run is stopped."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.runners.dataflow.internal import apiclient
from google.api_core import exceptions

from pipelines.engine.dataflow.graph import DataflowGraph, build_graph
from pipelines.engine.dataflow.service import DataflowJob, DataflowService, DataflowUnreachableError
from pipelines.engine.dataflow.settings import read_settings
from pipelines.engine.failures import failure_of
from pipelines.engine.job_record import RECORD_NAME, write_record
from pipelines.engine.job_watch import watched
from pipelines.engine.remote_job import JobRecord
from pipelines.engine.settings import Engine
from schemas.errors import CorpusmillError, InputError, StageError
from schemas.storage import Folder

__all__ = ["run_on_dataflow"]

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS, _LOOK_SECONDS_LOCALLY = 10.0, 0.5
_SILENCE_SECONDS = 600.0  # the job goes on without us; a laptop may lose its network for a while


def _submit(graph: DataflowGraph) -> str:
    """Hand a job over; gives its id."""
    try:
        client = apiclient.DataflowApplicationClient(graph.options, graph.job.root_staging_location)
        return str(client.create_job(graph.job).id)
    except exceptions.GoogleAPIError as error:
        reason = getattr(error, "message", None) or str(error)
        raise InputError(f"Dataflow refuses {graph.name}: {' '.join(reason.split())}") from error
    except OSError as error:
        raise InputError(f"Dataflow's files of {graph.name} cannot be written: {error}; see temp_location") from error


class _Run(threading.Thread):
    """Submits a job and follows it to its end.

    A thread of its own, because the signal that stops a run has to reach its main thread in code of ours: in the middle
    of a call of Google's client it was swallowed once, and the run went on.
    """

    def __init__(
        self, graph: DataflowGraph, service: DataflowService, tell: Callable[[str], None], pause: float
    ) -> None:
        super().__init__(daemon=True, name="dataflow-job")
        self._graph = graph
        self._service = service
        self._tell = tell
        self._pause = pause
        self._told = ""
        self._answered = time.monotonic()
        self.job: DataflowJob | None = None
        self.error: CorpusmillError | None = None

    def run(self) -> None:
        """Until the job has ended, or cannot be followed."""
        try:
            job_id = _submit(self._graph)
            while self.job is None or not self.job.ended:
                time.sleep(self._pause)
                self.job = self._look(job_id) or self.job
        except CorpusmillError as error:
            self.error = error

    def _look(self, job_id: str) -> DataflowJob | None:
        """The job now; None where it cannot be told.

        Raises:
            StageError: no answer for too long.
        """
        try:
            seen = self._service.details(job_id)
            said = self._service.messages(job_id)
        except DataflowUnreachableError as error:
            if time.monotonic() - self._answered > _SILENCE_SECONDS:
                raise StageError(f"{error}; run the same command again once it does") from error
            return None
        self._answered = time.monotonic()
        text = f"Dataflow: {seen.state.lower()}, {seen.stages_done}/{seen.stages} stages done"
        text += f", {said[-1]}" if said else ""
        if text != self._told:
            self._told = text
            self._tell(text)
        return seen


def _finish(run: _Run) -> DataflowJob:
    run.start()
    while run.is_alive():
        run.join(0.2)
    if run.error is not None:
        raise run.error
    if run.job is None:
        raise StageError("Dataflow's job was lost sight of; the log tells more")
    return run.job


def run_on_dataflow(build: Callable[[beam.Pipeline], Any], engine: Engine, name: str, folder: Folder) -> None:
    """Build a pipeline and run it as a job of Dataflow.

    Args:
        build: adds the steps.
        engine: `workers` machines at most.
        name: of the pipeline.
        folder: the work folder of the unit, where the job's record is kept until it has ended.

    Raises:
        UserError: Dataflow is not set up, the folder lies on this machine, or the job is refused.
        CorpusmillError: one of ours that a worker raised.
        StageError: the job failed otherwise, was cancelled, or nobody answers.
    """
    settings = read_settings()
    service = DataflowService(settings.project, settings.region, settings.endpoint)
    graph = build_graph(build, settings, engine.workers, f"corpusmill-{name}-{uuid.uuid4().hex[:12]}")
    where = {"project": settings.project, "region": settings.region, "endpoint": settings.endpoint}
    record = JobRecord(engine="dataflow", job=graph.name, where=where)
    write_record(folder, record)
    with watched(record) as let_go:
        pause = _LOOK_SECONDS_LOCALLY if settings.is_emulator else _LOOK_SECONDS
        try:
            seen = _finish(_Run(graph, service, engine.on_progress, pause))
        except CorpusmillError:
            let_go()  # the job was refused, or nobody would answer the watcher either
            raise
        let_go()
    _LOG.info("dataflow job", extra={"dataflow_job": seen.id, "job": graph.name, "state": seen.state})
    folder.remove(RECORD_NAME)
    if seen.state == "CANCELLED":
        raise StageError(f"{name} was cancelled in Dataflow; run the same command again to go on")
    if seen.state != "DONE":
        raise failure_of("\n".join(service.messages(seen.id, errors_only=True)), name)
