"""Learning rate and batch size: pure functions of how far a run is."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from schemas.configs.train import TrainConfig

__all__ = ["BatchRamp", "BatchSchedule", "learning_rate"]


def learning_rate(config: TrainConfig, tokens: int, total_tokens: int) -> float:
    """The learning rate of the step after which `tokens` inputs have been trained on.

    Linear from 0 over the warm-up, then from the full rate to `final_share` of it at `decay_tokens` (else at the end
    of the run), and flat from there (Brown et al. 2020, appendix B). `wsd` stays at the full rate until the last
    `decay_share` of these tokens, then falls linearly (Hu et al. 2024, "MiniCPM", section 4).

    Counting the step's own tokens keeps the first step's rate above 0 and gives the last step the final rate.
    """
    if tokens < config.warmup_tokens:
        return config.learning_rate * tokens / config.warmup_tokens
    if config.schedule == "constant":
        return config.learning_rate
    end = config.decay_tokens or total_tokens
    level = max(config.warmup_tokens, round(end * (1.0 - config.decay_share)))
    begin = level if config.schedule == "wsd" else config.warmup_tokens
    progress = min(1.0, max(0.0, (tokens - begin) / max(1, end - begin)))
    above = 0.5 * (1.0 + math.cos(math.pi * progress)) if config.schedule == "cosine" else 1.0 - progress
    return config.learning_rate * (config.final_share + (1.0 - config.final_share) * above)


class BatchRamp(Protocol):
    """The settings that decide which samples a step takes; `TrainConfig` has them."""

    @property
    def batch(self) -> int:
        """Sequences of a step."""

    @property
    def ramp_start(self) -> int:
        """Sequences of the first steps of a ramp."""

    @property
    def ramp_tokens(self) -> int:
        """Tokens over which the batch grows; 0 where it does not."""


class BatchSchedule:
    """Which samples each step trains on.

    During the ramp the batch grows with the samples seen, linearly from `ramp_start` to `batch`, in multiples of
    `ramp_start`, so that it splits over ranks as the first batch does.
    """

    def __init__(self, config: BatchRamp, sequence_length: int) -> None:
        self.batch = config.batch
        self._starts = [0]
        ramp_samples = config.ramp_tokens / sequence_length
        while self._starts[-1] < ramp_samples:
            grown = (config.batch - config.ramp_start) * self._starts[-1] / ramp_samples
            size = config.ramp_start + int(grown) // config.ramp_start * config.ramp_start
            self._starts.append(self._starts[-1] + min(size, config.batch))

    def start(self, step: int) -> int:
        """Samples before step `step`, counted from 0."""
        ramp = len(self._starts) - 1
        return self._starts[step] if step <= ramp else self._starts[-1] + (step - ramp) * self.batch

    def sample_range(self, step: int) -> tuple[int, int]:
        """First sample of a step (counted from 0), and one past its last."""
        return self.start(step), self.start(step + 1)

    def whole_steps(self, samples: int) -> int:
        """Steps that `samples` samples are enough for."""
        if samples < self._starts[-1]:
            return bisect_right(self._starts, samples) - 1
        return len(self._starts) - 1 + (samples - self._starts[-1]) // self.batch
