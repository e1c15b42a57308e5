"""Running a Beam pipeline on the engine that the user chose.

The local engine is Beam's FnApiRunner, named explicitly: `DirectRunner` may become another engine silently, depending
on the network. With two workers or more, each worker is a process of its own.
"""

from __future__ import annotations

import logging
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms import environments

from pipelines.engine import lifeline, worker
from pipelines.engine.settings import Engine
from schemas import errors

__all__ = ["run_pipeline"]


def _environment(engine: Engine) -> environments.Environment:
    # `multi_processing` mode would start Beam's own worker main, which outlives a killed run; ours does not. `exec`
    # spares the shell between the runner and the worker.
    if engine.workers == 1:
        return environments.EmbeddedPythonEnvironment.default()
    command = f"exec {shlex.quote(sys.executable)} -m {worker.__name__}"
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


def run_pipeline(build: Callable[[beam.Pipeline], Any], engine: Engine, name: str) -> None:
    """Build a pipeline and run it to its end.

    Raises:
        CorpusmillError: one of ours that a worker raised; the same whatever the number of workers.
        StageError: the pipeline failed otherwise; the message ends with the first cause that a worker reported.
    """
    lifeline.own_children()
    options = PipelineOptions([f"--job_name={name}", f"--direct_num_workers={engine.workers}"])
    pipeline = beam.Pipeline(runner=FnApiRunner(_environment(engine)), options=options)
    build(pipeline)
    with _quiet_beam():
        try:
            pipeline.run().wait_until_finish()
        except Exception as error:
            raise _as_ours(error, name) from error


def _as_ours(error: Exception, name: str) -> errors.CorpusmillError:
    """The error that a step raised. Worker processes report it as the text of a traceback, its last line last."""
    said = f"{type(error).__module__}.{type(error).__name__}: {error}"
    # Beam appends the name of the step.
    causes = re.findall(r"^schemas\.errors\.(\w+): (.*?)(?: \[while running '[^\n]*'\])?$", said, re.MULTILINE)
    if causes:
        kind, message = causes[-1]
        return getattr(errors, kind)(message)  # type: ignore[no-any-return]
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return errors.StageError(f"{name} failed: {lines[-1].removeprefix('builtins.')}")
