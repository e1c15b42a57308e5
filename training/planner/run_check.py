"""What a run was planned to take, and what it took: `<run>/plan.json`, with the error of each estimate.

Planned before the model is built, from parts of it that are run for a moment on this machine; measured over the steps
of this process. Runs too short to be worth that moment have no such file.
"""

from __future__ import annotations

import ctypes
import json
import statistics
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field

from schemas.configs.model import ModelConfig
from schemas.configs.train import TrainConfig
from schemas.storage import Folder
from training.planner.machine import measure_step, number_bytes
from training.planner.memory import Device, Layout, peak_memory

__all__ = [
    "PLAN_NAME",
    "PlannedAndMeasured",
    "RunCheck",
    "begin_check",
    "forget_peak",
    "predicted_memory",
    "resident_bytes",
]

PLAN_NAME = "plan.json"
# Measuring costs about as much as three steps.
_STEPS_WORTH_IT = 20
# The first steps still fill caches and create the optimizer's tensors.
_WARM_UP = 3


class PlannedAndMeasured(BaseModel):
    """What `plan.json` says; an error of 0.1 means that a tenth more was planned than was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    planned_tokens_per_second: float
    tokens_per_second: float
    tokens_per_second_error: float
    planned_memory_bytes: int
    memory_bytes: int | None = Field(description="above what the process held before the model; None where not known")
    memory_error: float | None
    step_parts: dict[str, float] = Field(description="planned seconds of a step")
    steps: int = Field(description="measured, the first ones not")


def resident_bytes(key: str) -> int | None:
    """A line of this process's status, in bytes; None where the system has no such file."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith(f"{key}:")]
    return int(found[0][1]) * 1024 if found else None


def forget_peak() -> bool:
    """Begin a new count of the highest resident memory; False where the system does not let us."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _give_back() -> None:
    """Let the C library give freed memory back: holes of the parts' sizes would be in the way of the whole model's."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def predicted_memory(model: ModelConfig, config: TrainConfig, device: torch.device) -> int:
    """Bytes that training will hold at its fullest moment, on one device."""
    layout = Layout(batch=config.batch, micro_batch=config.micro_batch or config.batch)
    moments = 1 if config.optimizer == "sgd" else 2
    size = number_bytes(config, device)
    kind: Device = "cuda" if device.type == "cuda" else "cpu"
    windows = config.validation_windows
    return peak_memory(model, layout, size=size, device=kind, moments=moments, windows=windows).total


class RunCheck:
    """One process of a run, from before its model is built to its last step."""

    def __init__(self, model: ModelConfig, config: TrainConfig, device: torch.device) -> None:
        self._device = device
        self._seconds_per_token: list[float] = []
        self._planned_memory = predicted_memory(model, config, device)
        # Before parts of the model are run: an allocator that keeps its memory keeps theirs for the training to come.
        self._before = resident_bytes("VmRSS") if device.type == "cpu" and forget_peak() else None
        self._cost = measure_step(model, config, device)
        _give_back()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)

    def note(self, tokens: int, seconds: float) -> None:
        """Note a finished step."""
        self._seconds_per_token.append(seconds / tokens)

    def _memory(self) -> int | None:
        if self._before is None:
            return None
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) - self._before
        peak = resident_bytes("VmHWM")
        return None if peak is None else peak - self._before

    def finish(self, run: str) -> PlannedAndMeasured | None:
        """Compare and write `<run>/plan.json`; None where too few steps were noted.

        Raises:
            OutputError: the run's folder cannot be written.
        """
        taken = self._seconds_per_token[_WARM_UP:]
        if not taken:
            return None
        speed, memory = 1 / statistics.median(taken), self._memory()
        cost = self._cost
        parts = {name: getattr(cost, name) for name in ("dense_layers", "banded_layers", "ends", "optimizer")}
        result = PlannedAndMeasured(
            planned_tokens_per_second=round(cost.tokens_per_second, 1),
            tokens_per_second=round(speed, 1),
            tokens_per_second_error=round(cost.tokens_per_second / speed - 1, 4),
            planned_memory_bytes=self._planned_memory,
            memory_bytes=memory,
            memory_error=None if not memory else round(self._planned_memory / memory - 1, 4),
            step_parts={name: round(seconds, 6) for name, seconds in parts.items()},
            steps=len(taken),
        )
        Folder(run).put_whole(PLAN_NAME, json.dumps(result.model_dump(), indent=1).encode("utf-8"))
        return result


def begin_check(model: ModelConfig, config: TrainConfig, steps: int, device: torch.device) -> RunCheck | None:
    """Plan a run on this machine, before its model is built; None where it is too short to be worth it.

    Args:
        model: what will be trained.
        config: how.
        steps: that this process will take.
        device: where.
    """
    if steps < _STEPS_WORTH_IT or not config.check_plan:
        return None
    return RunCheck(model, config, device)
