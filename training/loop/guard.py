"""Which steps are bad: a loss or gradient norm far above what the last good steps had."""

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
        deviations: over the mean that make a step bad; None finds no step bad.
        steps: good steps that count.
        history: of a run that goes on, see `state`.
    """

    def __init__(self, deviations: float | None, steps: int, history: Sequence[Sequence[float]] = ()) -> None:
        self._deviations = deviations
        self._fewest = min(_FEWEST, steps)
        self._good: deque[tuple[float, float]] = deque(((one[0], one[1]) for one in history), maxlen=steps)

    def state(self) -> list[list[float]]:
        """Loss and gradient norm of the steps that count, in order: all that is needed to go on."""
        return [list(one) for one in self._good] if self._deviations is not None else []

    def judge(self, loss: float, norm: float) -> str:
        """Why a step is bad; empty where it is not, and then it counts from now on."""
        if self._deviations is not None and len(self._good) >= self._fewest:
            for number, (name, value) in enumerate((("loss", loss), ("gradient norm", norm))):
                limit, mean, deviation = self._limit(number)
                if value > limit:
                    return (
                        f"a spike: {name} {value:.4g} is over {limit:.4g}, {self._deviations:g} deviations "
                        f"({deviation:.3g}) over the mean of {len(self._good)} good steps ({mean:.4g})"
                    )
        self._good.append((loss, norm))
        return ""

    def _limit(self, number: int) -> tuple[float, float, float]:
        values = [one[number] for one in self._good]
        mean = math.fsum(values) / len(values)
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        return mean + (self._deviations or 0.0) * deviation, mean, deviation
