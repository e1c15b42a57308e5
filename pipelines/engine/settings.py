"""Where pipelines run. Imports no Beam, so that asking whether a unit is done costs nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.errors import ConfigError

__all__ = ["RUNNERS", "Engine", "default_workers"]

RUNNERS = ("local", "flink")


def default_workers() -> int:
    """One worker per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _silent(_text: str) -> None:
    """Takes no notice."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A runner and its size; never part of a fingerprint, because every engine gives the same rows.

    `on_progress` is given a line of text whenever the engine knows something new.

    Raises:
        ConfigError: an unknown runner, or fewer than one worker.
    """

    runner: str = "local"
    workers: int = 1
    on_progress: Callable[[str], None] = field(default=_silent, compare=False)

    def __post_init__(self) -> None:
        if self.runner not in RUNNERS:
            raise ConfigError(f"--runner {self.runner}: pipelines run on {' or '.join(RUNNERS)}")
        if self.workers < 1:
            raise ConfigError(f"--workers {self.workers}: give 1 or more")
