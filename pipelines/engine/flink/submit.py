"""One pipeline as one job of a Flink cluster: submitted, followed to its end, cancelled where the run is stopped."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pickle import PicklingError
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.portable_runner import PortableRunner

from pipelines.engine.failures import failure_of
from pipelines.engine.flink.description import ClusterDescription, listens, read_cluster
from pipelines.engine.flink.rest import FlinkJob, FlinkRest, FlinkUnreachableError
from pipelines.engine.job_record import RECORD_NAME, write_record
from pipelines.engine.job_watch import watched
from pipelines.engine.remote_job import JobRecord
from pipelines.engine.settings import Engine
from schemas.configs.flink import WORKER_KEPT_SECONDS
from schemas.errors import ConfigError, InputError, StageError
from schemas.storage import Folder

__all__ = ["flink_options", "run_on_flink"]

_LOG = logging.getLogger(__name__)
# A look costs the manager and us some milliseconds each: often at first, for short jobs, then less so.
_LOOK_SECONDS, _MOST_LOOK_SECONDS, _LOOKS_SLOW_DOWN = 0.5, 3.0, 1.05
# Longer than a manager takes to start again; it knows no job any more then.
_SILENCE_SECONDS = 20.0
_LAST_WORDS_SECONDS = 5.0
# A job that has too little memory to sort or to group waits without failing; so does one that reads one large file.
_STILL_SECONDS = 300.0


def flink_options(cluster: ClusterDescription, workers: int, job: str) -> PipelineOptions:
    """Options of a job: as many workers as it has slots, one process for each slot of a task manager."""
    return PipelineOptions(
        [
            f"--job_name={job}",
            f"--job_endpoint={cluster.job_endpoint}",
            f"--environment_type={cluster.environment_type}",
            f"--environment_config={cluster.environment_config}",
            f"--parallelism={workers}",
            f"--sdk_worker_parallelism={cluster.slots_of_task_manager}",
            f"--environment_cache_millis={int(WORKER_KEPT_SECONDS * 1000)}",
        ]
    )


def _require_slots(cluster: ClusterDescription, rest: FlinkRest | None, workers: int) -> None:
    if not listens(cluster.job_endpoint):
        raise InputError(
            f"Beam's job server at {cluster.job_endpoint} does not answer; `corpusmill flink status` says more, "
            "`corpusmill flink up` starts a cluster"
        )
    managers, slots = 1, cluster.slots
    if rest is not None:
        try:
            managers, slots = rest.slots()
        except FlinkUnreachableError as error:
            raise InputError(
                f"{error}; `corpusmill flink status` says more, `corpusmill flink up` starts one"
            ) from None
    if workers > slots:
        # A task manager that is starting again will be back before the job has waited for its slots in vain.
        if workers <= cluster.slots:
            return
        raise ConfigError(
            f"--workers {workers} wants {workers} slots, and Flink has {slots} on {managers} task managers; give "
            f"--workers {slots}, or start a larger cluster: corpusmill flink up --set slots=…"
        )


class _Submission(threading.Thread):
    """The call into Beam that returns when the job has ended; `state` is how, or `said` is why it did not."""

    def __init__(self, pipeline: beam.Pipeline) -> None:
        super().__init__(daemon=True, name="flink-job")
        self._pipeline = pipeline
        self.state = ""
        self.said = ""

    def run(self) -> None:
        """Submit and wait."""
        try:
            self.state = str(self._pipeline.run().wait_until_finish())
        except grpc.RpcError as error:
            self.said = f"Beam's job server: {error.details() if isinstance(error, grpc.Call) else error!r}"
        except (grpc.FutureTimeoutError, RuntimeError, ValueError, TypeError, OSError, PicklingError) as error:
            self.said = f"{type(error).__name__}: {error}"


class _Follower:
    """Looks at a job through Flink's API, tells its progress, and notices when nothing will come any more."""

    def __init__(self, rest: FlinkRest | None, job: str, tell: Callable[[str], None]) -> None:
        self._rest = rest
        self._job = job
        self._tell = tell
        self._answered = time.monotonic()
        self._told = ""
        self._told_at = time.monotonic()
        self.seen: FlinkJob | None = None

    def look(self) -> None:
        """Look once.

        Raises:
            StageError: the manager has been silent for too long, or has forgotten the job.
        """
        if self._rest is None:
            return
        try:
            job = self.seen or self._rest.job(self._job)
            details = None if job is None else self._rest.details(job.id)
            if job is not None and details is None:
                raise StageError(
                    f"Flink's JobManager at {self._rest.url} was started again and has lost job {self._job}; "
                    "run the same command again"
                )
            self.seen = details
            self._answered = time.monotonic()
        except FlinkUnreachableError as error:
            if time.monotonic() - self._answered > _SILENCE_SECONDS:
                raise StageError(f"{error}; once it is up again, run the same command again") from error
        self._tell_progress()

    def _tell_progress(self) -> None:
        if self.seen is None:
            return
        steps = [vertex for vertex in self.seen.vertices if vertex.steps]
        done = sum(vertex.state == "FINISHED" for vertex in steps)
        records = sum(vertex.records_in for vertex in steps)
        running = [vertex.steps for vertex in steps if vertex.state == "RUNNING"]
        text = f"Flink: {done}/{len(steps)} steps done, {records:,} elements"
        text += f", in {running[0]}" if running else f", {self.seen.state.lower()}"
        now = time.monotonic()
        if text != self._told:
            self._told, self._told_at = text, now
            self._tell(text)
        elif now - self._told_at > _STILL_SECONDS:
            self._told_at = now
            where = self._rest.url if self._rest else ""
            self._tell(
                f"{text}; nothing has moved for {_STILL_SECONDS / 60:.0f} minutes, {where} shows what it waits for"
            )

    def ended(self) -> bool:
        """Whether Flink has said that the job ended."""
        return self.seen is not None and self.seen.ended

    @property
    def silent(self) -> bool:
        """Whether there is nobody to ask: an embedded Flink has no API."""
        return self._rest is None

    def last_words(self) -> str:
        """Why the job failed, as Flink tells it."""
        if self._rest is None or self.seen is None:
            return ""
        try:
            return self._rest.failure(self.seen.id)
        except FlinkUnreachableError:
            return ""


def _follow(submission: _Submission, follower: _Follower) -> None:
    """Until the job has ended. Flink's word counts; Beam's job server may die while the job goes on."""
    submission.start()
    alone_since, pause = 0.0, _LOOK_SECONDS
    while True:
        submission.join(pause) if submission.is_alive() else time.sleep(_LOOK_SECONDS)
        pause = min(_MOST_LOOK_SECONDS, pause * _LOOKS_SLOW_DOWN)
        follower.look()
        over = not submission.is_alive()
        if over and (follower.silent or follower.ended()):
            return
        # Either Flink has ended the job and Beam has not said so, or the job never came as far as Flink.
        if follower.ended() or (over and follower.seen is None):
            alone_since = alone_since or time.monotonic()
            if time.monotonic() - alone_since > _LAST_WORDS_SECONDS:
                return


def run_on_flink(build: Callable[[beam.Pipeline], Any], engine: Engine, name: str, folder: Folder) -> None:
    """Build a pipeline and run it as a job of the cluster that is up.

    Args:
        build: adds the steps.
        engine: `workers` is the job's parallelism.
        name: of the pipeline.
        folder: the work folder of the unit, where the job's record is kept until it has ended.

    Raises:
        InputError: no cluster is up.
        ConfigError: it has fewer slots than workers were asked for.
        CorpusmillError: one of ours that a worker raised.
        StageError: the job failed otherwise, was cancelled, or its manager is gone.
    """
    cluster = read_cluster()
    rest = FlinkRest(cluster.rest) if cluster.rest else None
    _require_slots(cluster, rest, engine.workers)
    job = f"corpusmill-{name}-{uuid.uuid4().hex[:12]}"
    pipeline = beam.Pipeline(runner=PortableRunner(), options=flink_options(cluster, engine.workers, job))
    build(pipeline)
    record = JobRecord(engine="flink", job=job, where={"rest": cluster.rest}) if cluster.rest else None
    if record:
        write_record(folder, record)
    submission, follower = _Submission(pipeline), _Follower(rest, job, engine.on_progress)
    with watched(record) if record else nullcontext(lambda: None) as let_go:
        try:
            _follow(submission, follower)
        except StageError:
            let_go()  # the manager has lost the job, or does not answer a watcher either
            raise
        let_go()
    _log_job(job, follower)
    folder.remove(RECORD_NAME)
    state = follower.seen.state if follower.seen else submission.state
    if state == "CANCELED":
        raise StageError(f"{name} was cancelled in Flink; run the same command again to go on")
    if state not in ("FINISHED", "DONE"):  # Flink's word, or Beam's
        raise failure_of(f"{follower.last_words()}\n{submission.said}", name)


def _log_job(job: str, follower: _Follower) -> None:
    seen = follower.seen
    if seen is not None:
        vertices = [asdict(vertex) for vertex in seen.vertices if vertex.steps]
        _LOG.info("flink job", extra={"flink_job": seen.id, "job": job, "state": seen.state, "vertices": vertices})
