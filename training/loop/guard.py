"""Which steps are spikes: a loss or gradient norm far above what the last good steps had."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

__all__ = ["SpikeGuard"]

# Below so many good steps their deviation says little.
_FEWEST = 16


class SpikeGuard:
    """Mean and standard deviation of the last good steps, for loss and gradient norm.

    Args:
        deviations: over the mean that make a step a spike; None finds none.
        steps: good steps that count.
        history: of a run that goes on, see `state`.
        trained: whether spikes are trained on all the same. They count as the limit that they were over, then: a loss
            that stays high becomes the usual one, and a single high one does not hide the next.
    """

    def __init__(
        self,
        deviations: float | None,
        steps: int,
        history: Sequence[Sequence[float]] = (),
        *,
        trained: bool = False,
    ) -> None:
        self._deviations = deviations
        self._fewest = min(_FEWEST, steps)
        self._trained = trained
        self._good: deque[tuple[float, float]] = deque(((one[0], one[1]) for one in history), maxlen=steps)

    def state(self) -> list[list[float]]:
        """Loss and gradient norm of the steps that count, in order: all that is needed to go on."""
        return [list(one) for one in self._good] if self._deviations is not None else []

    def judge(self, loss: float, norm: float) -> str:
        """Why a step is a spike; empty where it is not, and then it counts from now on."""
        if self._deviations is None or len(self._good) < self._fewest:
            self._good.append((loss, norm))
            return ""
        found = ""
        limits = [self._limit(number) for number in range(2)]
        for name, value, (limit, mean, deviation) in zip(("loss", "gradient norm"), (loss, norm), limits, strict=True):
            if value > limit and not found:
                found = (
                    f"a spike: {name} {value:.4g} is over {limit:.4g}, {self._deviations:g} deviations "
                    f"({deviation:.3g}) over the mean of {len(self._good)} good steps ({mean:.4g})"
                )
        if not found or self._trained:
            self._good.append((min(loss, limits[0][0]), min(norm, limits[1][0])))
        return found

    def _limit(self, number: int) -> tuple[float, float, float]:
        values = [one[number] for one in self._good]
        mean = math.fsum(values) / len(values)
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        return mean + (self._deviations or 0.0) * deviation, mean, deviation
