"""Metrics as TensorBoard's event files, in `<run>/tensorboard`, beside the JSON lines."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.configs.train import TrainConfig
from schemas.errors import ConfigError

__all__ = ["EVENTS_FOLDER", "EventFile", "require_tensorboard"]

EVENTS_FOLDER = "tensorboard"


def require_tensorboard(config: TrainConfig) -> None:
    """Check that event files can be written where they are asked for.

    Raises:
        ConfigError: TensorBoard is not installed.
    """
    if config.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "tensorboard is true, and the package tensorboard is not installed; install corpusmill[tensorboard], or "
            "leave it out: metrics.jsonl has the same numbers"
        )


def _scalars(row: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _scalars(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "step":
            yield f"{prefix}{name}", float(value)


class EventFile:
    """Adds rows of metrics as scalars under the names that they have in `metrics.jsonl`.

    Args:
        run: folder of the run.
        step: that the run stands at; what earlier files say of later steps counts no more.
    """

    def __init__(self, run: str, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = Path(run) / EVENTS_FOLDER
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def append(self, row: dict[str, Any]) -> None:
        """Add one row."""
        for name, value in _scalars(row):
            self._writer.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
