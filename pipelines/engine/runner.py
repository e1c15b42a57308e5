"""Running a Beam pipeline on the engine that the user chose.

The local engine is Beam's FnApiRunner, named explicitly: `DirectRunner` may become another engine silently, depending
on the network. With two workers or more, each worker is a process of its own.
"""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms import environments

from pipelines.engine import lifeline, local_workers, worker
from pipelines.engine.failures import failure_of
from pipelines.engine.settings import Engine
from schemas.storage import Folder

__all__ = ["run_pipeline"]


def _environment(engine: Engine) -> environments.Environment:
    # `multi_processing` mode would start Beam's own worker main, which outlives a killed run; ours does not. `exec`
    # spares the shell between the runner and the worker.
    if engine.workers == 1:
        return environments.EmbeddedPythonEnvironment.default()
    command = f"exec {shlex.quote(sys.executable)} -m {worker.__name__}"
    assert local_workers  # registers itself as the handler of such environments
    return environments.SubprocessSDKEnvironment.from_command_string(command)


@contextmanager
def _quiet_beam() -> Iterator[None]:
    # Beam logs every bundle of every worker at INFO, warns of optional clients that we do not use, and logs a failure
    # several times over, some 150 lines of what the exception says too.
    logger = logging.getLogger("apache_beam")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _run_locally(build: Callable[[beam.Pipeline], Any], engine: Engine, name: str) -> None:
    lifeline.own_children()
    worker.hush_harness()
    options = PipelineOptions([f"--job_name={name}", f"--direct_num_workers={engine.workers}"])
    pipeline = beam.Pipeline(runner=FnApiRunner(_environment(engine)), options=options)
    build(pipeline)
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:
        said = f"{type(error).__module__}.{type(error).__name__}: {error}"
        raise failure_of(said, name) from error


def run_pipeline(build: Callable[[beam.Pipeline], Any], engine: Engine, name: str, folder: Folder) -> None:
    """Build a pipeline and run it to its end.

    Args:
        build: adds the steps.
        engine: where to run it.
        name: of the pipeline.
        folder: the work folder of the unit, reachable for every worker.

    Raises:
        CorpusmillError: one of ours that a worker raised; the same whatever the number of workers.
        StageError: the pipeline failed otherwise; the message ends with the first cause that a worker reported.
    """
    with _quiet_beam():
        engine.on_pipeline(build, name)
        if engine.runner == "flink":
            from pipelines.engine.flink.submit import run_on_flink

            run_on_flink(build, engine, name, folder)
        elif engine.runner == "dataflow":
            from pipelines.engine.dataflow.submit import run_on_dataflow

            run_on_dataflow(build, engine, name, folder)
        else:
            _run_locally(build, engine, name)
