"""Training batches: windows of the plan's order as integers, with a position that can be kept and restored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.mixture import MixturePlan
from training.data.order import SampleOrder, Samples, rows_of_rank
from training.data.shards import TokenStream

__all__ = ["Batch", "BatchReader"]


@dataclass(frozen=True)
class Batch:
    """Consecutive samples of the order; `inputs` and `labels` are (B, T) int64, a label is the next token."""

    inputs: NDArray[np.int64]
    labels: NDArray[np.int64]
    samples: Samples


class BatchReader:
    """Reads batches in order, from one position on."""

    def __init__(self, plan: MixturePlan, streams: list[TokenStream], seed: int) -> None:
        self._streams = streams
        self._length = plan.sequence_length
        self._order = SampleOrder(plan, seed)
        self._next = 0

    def __len__(self) -> int:
        return len(self._order)

    def state(self) -> dict[str, int]:
        """The position: all that is needed to go on."""
        return {"sample": self._next}

    def restore(self, state: dict[str, int]) -> None:
        """Go on from a kept position."""
        self._next = state["sample"]

    def take(self, count: int, rank: int = 0, world_size: int = 1) -> Batch:
        """The next `count` samples, or the part of them that belongs to one rank."""
        low, high = rows_of_rank(count, rank, world_size)
        samples = self._order.locate(self._next + low, self._next + high)
        self._next += count
        return self.read(samples)

    def read(self, samples: Samples) -> Batch:
        """The windows of the given samples."""
        tokens = np.empty((len(samples.windows), self._length + 1), dtype=np.int64)
        for row, source, window in zip(tokens, samples.sources.tolist(), samples.windows.tolist(), strict=True):
            self._streams[source].read_window(window, row)
        return Batch(tokens[:, :-1], tokens[:, 1:], samples)

    def describe(self, samples: Samples) -> str:
        """The samples by name, for messages: `books windows 3, 17; web windows 5`."""
        parts = []
        for source in sorted(set(samples.sources.tolist())):
            windows = sorted(samples.windows[samples.sources == source].tolist())
            parts.append(f"{self._streams[source].source} windows {', '.join(map(str, windows))}")
        return "; ".join(parts)
