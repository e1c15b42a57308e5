"""Where pipelines run. Imports no Beam, so that asking whether a unit is done costs nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import ConfigError

__all__ = ["RUNNERS", "Engine", "default_workers"]

RUNNERS = ("local", "flink", "dataflow")


def default_workers() -> int:
    """One worker per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _silent(*_told: Any) -> None:
    """Takes no notice."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A runner and its size; never part of a fingerprint, because every engine gives the same rows.

    `on_progress` is given a line of text whenever the engine knows something new; `on_pipeline` is given what builds
    a pipeline, and its name, before it runs.

    Raises:
        ConfigError: an unknown runner, or fewer than one worker.
    """

    runner: str = "local"
    workers: int = 1
    on_progress: Callable[[str], None] = field(default=_silent, compare=False)
    on_pipeline: Callable[[Callable[[Any], Any], str], None] = field(default=_silent, compare=False)

    def __post_init__(self) -> None:
        if self.runner not in RUNNERS:
            raise ConfigError(f"--runner {self.runner}: pipelines run on {', '.join(RUNNERS[:-1])} or {RUNNERS[-1]}")
        if self.workers < 1:
            raise ConfigError(f"--workers {self.workers}: give 1 or more")

    def require_reachable(self, urls: Iterable[str]) -> None:
        """See that all workers can read and write below these URLs.

        Raises:
            ConfigError: workers run elsewhere, and one is a path of this machine.
            UserError: the runner is not set up.
        """
        if self.runner == "dataflow":
            from pipelines.engine.dataflow.settings import read_settings, require_reachable

            require_reachable(read_settings(), urls)
