"""Training batches: windows of the plan's order as integers, with a position that can be kept and restored."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schemas.mixture import MixturePlan
from training.data.document_starts import boundaries_of
from training.data.order import SampleOrder, Samples, rows_of_rank
from training.data.prefetch import ReadAhead, Wanted
from training.data.shards import TokenStream
from training.data.skips import RunOrder, Skip

__all__ = ["Batch", "BatchReader", "BatchTensors"]

# Samples located together: 0.5 µs each in blocks of 4,096, 45 µs in blocks of 8 (three sources).
_LOCATED = 4096
_KEPT_BLOCKS = 4


class BatchTensors(NamedTuple):
    """A batch as tensors, without a copy."""

    inputs: Tensor  # (B, T) int64
    labels: Tensor  # (B, T) int64
    sources: Tensor  # (B,) int64, index into the plan's sources
    boundaries: Tensor | None  # (K,) int64, see `Batch.boundaries`


@dataclass(frozen=True)
class Batch:
    """Consecutive samples of the order; `inputs` and `labels` are (B, T) int64, a label is the next token.

    `boundaries` are positions in the B·T inputs one after another, ascending: where a window begins, where a document
    begins inside one, and B·T as the last; None where the streams were opened without. These are the cumulative
    sequence lengths that attention within documents takes.
    """

    inputs: NDArray[np.int64]
    labels: NDArray[np.int64]
    samples: Samples
    boundaries: NDArray[np.int64] | None = None

    def tensors(self) -> BatchTensors:
        """The same as tensors over the same memory."""
        bounds = None if self.boundaries is None else torch.from_numpy(self.boundaries)
        sources = torch.from_numpy(np.ascontiguousarray(self.samples.sources))
        return BatchTensors(torch.from_numpy(self.inputs), torch.from_numpy(self.labels), sources, bounds)


class BatchReader:
    """Reads batches in order, from one position on.

    Args:
        plan: the mixture.
        streams: of the plan's training split.
        seed: of the run.
        workers: threads that read ahead; 0 reads when asked. Their number changes nothing about the batches.
        ahead: batches that are read ahead.
        skips: samples that the run leaves out.
    """

    def __init__(
        self,
        plan: MixturePlan,
        streams: list[TokenStream],
        seed: int,
        *,
        workers: int = 0,
        ahead: int = 2,
        skips: Sequence[Skip] = (),
    ) -> None:
        self._streams = streams
        self._length = plan.sequence_length
        self._order = RunOrder(SampleOrder(plan, seed), list(skips))
        self._next = 0
        self._blocks: OrderedDict[int, Samples] = OrderedDict()
        self._lock = threading.Lock()
        self._free: list[NDArray[np.int64]] = []
        self._given: NDArray[np.int64] | None = None
        self._ahead = ReadAhead(self._read_wanted, workers, ahead, len(self._order)) if workers else None

    def __len__(self) -> int:
        return len(self._order)

    def state(self) -> dict[str, int]:
        """The position: all that is needed to go on."""
        return {"sample": self._next}

    def restore(self, state: dict[str, int]) -> None:
        """Go on from a kept position."""
        self._next = state["sample"]

    def in_plan(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Samples `start` to `stop` of the run as stretches of the plan's order."""
        return self._order.in_plan(start, stop)

    def take(self, count: int, rank: int = 0, world_size: int = 1) -> Batch:
        """The next `count` samples, or the part of them that belongs to one rank.

        With threads that read ahead, the arrays of a batch are written anew once the next one is taken.
        """
        wanted = Wanted(self._next, count, rank, world_size)
        if self._ahead is None:
            batch = self._read_wanted(wanted)
        else:
            if self._given is not None:
                self._free.append(self._given)
            batch = self._ahead.get(wanted)
            self._given = batch.inputs.base
        self._next += count
        return batch

    def close(self) -> None:
        """End the threads that read ahead."""
        if self._ahead is not None:
            self._ahead.close()

    def _read_wanted(self, wanted: Wanted) -> Batch:
        low, high = rows_of_rank(wanted.samples, wanted.rank, wanted.world_size)
        return self.read(self.locate(wanted.start + low, wanted.start + high))

    def locate(self, start: int, stop: int) -> Samples:
        """Samples `start` to `stop` of the run, from blocks that stay at hand."""
        blocks = range(start // _LOCATED, -(-stop // _LOCATED) if stop > start else start // _LOCATED)
        parts = []
        for block in blocks:
            first = block * _LOCATED
            found = self._block(block)
            parts.append(found.slice(max(start, first) - first, min(stop, first + _LOCATED) - first))
        if len(parts) == 1:
            return parts[0]
        empty = np.empty(0, dtype=np.int64)
        return Samples(
            np.concatenate([empty, *(part.sources for part in parts)]),
            np.concatenate([empty, *(part.windows for part in parts)]),
        )

    def _block(self, block: int) -> Samples:
        with self._lock:
            found = self._blocks.get(block)
            if found is None:
                found = self._order.locate(block * _LOCATED, min((block + 1) * _LOCATED, len(self._order)))
                self._blocks[block] = found
                if len(self._blocks) > _KEPT_BLOCKS:
                    self._blocks.popitem(last=False)
        return found

    def _buffer(self, rows: int) -> NDArray[np.int64]:
        """Memory for so many windows: new pages cost more than what is written into them."""
        while self._free:
            buffer = self._free.pop()
            if len(buffer) == rows:
                return buffer
        return np.empty((rows, self._length + 1), dtype=np.int64)

    def read(self, samples: Samples) -> Batch:
        """The windows of the given samples."""
        tokens = self._buffer(len(samples.windows))
        ends = None if any(stream.document_starts is None for stream in self._streams) else [self._edges(samples)]
        for source in np.unique(samples.sources).tolist():
            rows = np.flatnonzero(samples.sources == source)
            windows = samples.windows[rows]
            stream = self._streams[source]
            stream.read_windows(windows, tokens, rows)
            if ends is not None and stream.document_starts is not None:
                which, positions = boundaries_of(stream.document_starts, windows, self._length)
                ends.append(rows[which] * self._length + positions)
        boundaries = None if ends is None else np.sort(np.concatenate(ends))
        return Batch(tokens[:, :-1], tokens[:, 1:], samples, boundaries)

    def _edges(self, samples: Samples) -> NDArray[np.int64]:
        return np.arange(len(samples.windows) + 1, dtype=np.int64) * self._length

    def describe(self, samples: Samples) -> str:
        """The samples by name, for messages: `books windows 3, 17; web windows 5`."""
        parts = []
        for source in sorted(set(samples.sources.tolist())):
            windows = sorted(samples.windows[samples.sources == source].tolist())
            parts.append(f"{self._streams[source].source} windows {', '.join(map(str, windows))}")
        return "; ".join(parts)
