"""Where pipelines run. Imports no Beam, so that asking whether a unit is done costs nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass

from schemas.errors import ConfigError

__all__ = ["Engine", "default_workers"]


def default_workers() -> int:
    """One worker per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A runner and its size; never part of a fingerprint, because every engine gives the same rows.

    Raises:
        ConfigError: an unknown runner, or fewer than one worker.
    """

    runner: str = "local"
    workers: int = 1

    def __post_init__(self) -> None:
        if self.runner != "local":
            raise ConfigError(f"--runner {self.runner}: this version runs pipelines on 'local' only")
        if self.workers < 1:
            raise ConfigError(f"--workers {self.workers}: give 1 or more")
