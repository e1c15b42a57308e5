"""How fast a run is: MFU in both conventions, goodput, memory.

What a token takes is in `training.planner.flops`.
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from schemas.configs.model import ModelConfig
from training.hardware import multiplies_in_bf16
from training.planner.flops import Convention, flops_per_token
from training.process_group import Ranks

__all__ = ["SpeedMeter", "memory_bytes", "peak_flops"]

# Dense bf16 without sparsity, as NVIDIA's data sheets have them (halves of the numbers printed with sparsity).
_PUBLISHED_TFLOPS = {"B200": 2250.0, "H200": 989.0, "H100 PCIe": 756.0, "H100": 989.0, "A100": 312.0, "V100": 125.0}
_SIDE, _TIMES = 1024, 4  # of the products by which a CPU is measured: 9 GFLOP


@lru_cache(maxsize=4)
def peak_flops(device: torch.device, precision: str) -> float | None:
    """FLOP/s of one device: as published for a GPU that is known, as measured for this process's CPU threads."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        known = (peak for kind, peak in _PUBLISHED_TFLOPS.items() if kind in name)
        return next((1e12 * peak for peak in known), None) if multiplies_in_bf16(precision, device) else None
    dtype = torch.bfloat16 if multiplies_in_bf16(precision, device) else torch.float32
    left, right = torch.ones(2, _SIDE, _SIDE, dtype=dtype).unbind()
    left @ right
    seconds = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - began)
    return 2.0 * _SIDE**3 / min(seconds)


def memory_bytes(device: torch.device) -> int:
    """The most memory that was used: of the GPU, or of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


@dataclass
class SpeedMeter:
    """Tells how fast steps were.

    Goodput is the share of all time that the processes of a run have had that went into steps which count: not into
    starting, compiling, validating, saving, or steps that a kill or a rollback undid.

    Args:
        shape: the model's.
        ranks: that train.
        peak: FLOP/s of one device; None where it is not known.
        elapsed: seconds that the run's processes before this one had.
        productive: seconds of the steps before, of those that count.
    """

    shape: ModelConfig
    ranks: Ranks
    peak: float | None
    elapsed: float = 0.0
    productive: float = 0.0

    def __post_init__(self) -> None:
        self._began = time.perf_counter()
        self._waits: list[float] = []

    def undo(self, productive: float) -> None:
        """Count seconds of steps that a rollback has undone no more."""
        self.productive = productive

    def waited(self, seconds: float) -> None:
        """Count the time that the step to come waited for its data."""
        self._waits.append(seconds)

    def wait_p99(self) -> float:
        """Seconds that 99 of 100 steps of this process waited for data at most."""
        return round(float(np.percentile(self._waits, 99)), 6) if self._waits else 0.0

    def of_step(self, tokens: int, seconds: float) -> dict[str, Any]:
        """What a row of metrics says about a step of so many tokens of all ranks."""
        self.productive += seconds
        elapsed = self.elapsed + time.perf_counter() - self._began
        row: dict[str, Any] = {
            "seconds": round(seconds, 6),
            "data_seconds": round(self._waits[-1], 6) if self._waits else 0.0,
            "tokens_per_second": round(tokens / seconds, 1),
            "elapsed_seconds": round(elapsed, 3),
            "goodput": round(self.productive / elapsed, 4),
            "memory_bytes": memory_bytes(self.ranks.device),
        }
        if self.peak is not None:
            conventions: tuple[tuple[str, Convention], ...] = (("mfu", "full"), ("mfu_windowed", "window"))
            for name, convention in conventions:
                flops = flops_per_token(self.shape, convention) * tokens / seconds
                row[name] = round(flops / (self.peak * self.ranks.size), 4)
        return row
