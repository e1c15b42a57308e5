"""Running a Beam pipeline on the engine that the user chose.

The local engine is Beam's FnApiRunner, named explicitly: `DirectRunner` may become another engine silently, depending
on the network. With two workers or more, each worker is a process of its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipelines.engine import lifeline
from schemas.errors import ConfigError, StageError

__all__ = ["Engine", "default_workers", "run_pipeline"]


def default_workers() -> int:
    """One worker per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where pipelines run; never part of a fingerprint, because every engine gives the same rows."""

    runner: str = "local"
    workers: int = 1

    def __post_init__(self) -> None:
        if self.runner != "local":
            raise ConfigError(f"--runner {self.runner}: this version runs pipelines on 'local' only")
        if self.workers < 1:
            raise ConfigError(f"--workers {self.workers}: give 1 or more")


@contextmanager
def _quiet_beam() -> Iterator[None]:
    # Beam logs every bundle of every worker at INFO and warns of optional clients that we do not use.
    logger = logging.getLogger("apache_beam")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def run_pipeline(build: Callable[[beam.Pipeline], Any], engine: Engine, name: str) -> None:
    """Build a pipeline and run it to its end.

    Raises:
        StageError: the pipeline failed; the message ends with the first cause that a worker reported.
    """
    processes = engine.workers > 1
    flags = [
        f"--job_name={name}",
        f"--direct_num_workers={engine.workers}",
        f"--direct_running_mode={'multi_processing' if processes else 'in_memory'}",
        f"--beam_plugins={lifeline.__name__}",
        "--default_sdk_harness_log_level=ERROR",
    ]
    lifeline.own_children()
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(flags))
    build(pipeline)
    with _quiet_beam():
        try:
            pipeline.run().wait_until_finish()
        except (RuntimeError, OSError) as error:
            cause = _first_cause(error)
            raise StageError(f"{name} failed: {cause}") from error


def _first_cause(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
