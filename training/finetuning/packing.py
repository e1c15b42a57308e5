"""Samples in rows: several short ones share a row, and none sees another.

Attention ends at a sample's begin and positions are counted from there, so that a sample's loss is the one that it has
alone, but for rounding. Rows are as long as the longest sample of a step.

Shape legend: B rows, T positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from training.finetuning.samples import Sample
from training.loop.step import MicroBatch
from training.model.loss import IGNORED_LABEL

__all__ = ["Rows", "arrange", "collate"]


class Rows(NamedTuple):
    """Tensors (B, T) int64; the last two are None where each row is one sample."""

    inputs: Tensor
    labels: Tensor
    documents: Tensor | None
    positions: Tensor | None

    def micro_batches(self, size: int | None, device: torch.device) -> list[MicroBatch]:
        """The rows cut in pieces of at most `size`."""
        count = len(self.inputs)
        size = size or count
        parts = [[None] * -(-count // size) if part is None else torch.split(part.to(device), size) for part in self]
        return [
            MicroBatch(inputs, labels, number * size, documents, positions)
            for number, (inputs, labels, documents, positions) in enumerate(zip(*parts, strict=True))
        ]


def arrange(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Which samples share a row of `width`: the longest first, each into the first row that has room for it.

    First-fit decreasing needs at most 11/9 of the fewest rows, and a row more (Johnson 1973, "Near-optimal bin packing
    algorithms").
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda one: -lengths[one]):
        place = next((row for row, left in enumerate(room) if left >= lengths[index]), len(rows))
        if place == len(rows):
            rows.append([])
            room.append(width)
        rows[place].append(index)
        room[place] -= lengths[index]
    return rows


def _few_sizes(number: int, largest: int | None = None) -> int:
    """The next power of two: code that is compiled for each shape then meets few of them."""
    power = 1 << (number - 1).bit_length()
    return power if largest is None else min(power, largest)


def collate(samples: Sequence[Sample], pack: bool = True, few_shapes_up_to: int | None = None) -> Rows:
    """Inputs and labels of samples, one or several a row.

    Rows are padded on the right with id 0; labels of prompts and padding are ignored. Padding is a document of its own.

    Args:
        samples: of one step.
        pack: whether samples share rows.
        few_shapes_up_to: round rows and their number up to powers of two, the length to no more than this.
    """
    lengths = [len(sample.ids) - 1 for sample in samples]
    width = max(lengths) if few_shapes_up_to is None else _few_sizes(max(lengths), few_shapes_up_to)
    rows = arrange(lengths, width) if pack else [[index] for index in range(len(samples))]
    count = len(rows) if few_shapes_up_to is None else _few_sizes(len(rows))
    inputs_BT = torch.zeros(count, width, dtype=torch.int64)
    labels_BT = torch.full_like(inputs_BT, IGNORED_LABEL)
    documents_BT = torch.full_like(inputs_BT, len(samples))
    positions_BT = torch.arange(width).repeat(count, 1)
    for row, members in enumerate(rows):
        start = 0
        for index in members:
            ids, scored, stop = samples[index].ids, samples[index].scored, start + lengths[index]
            inputs_BT[row, start:stop] = torch.tensor(ids[:-1])
            labels_BT[row, stop - scored : stop] = torch.tensor(ids[len(ids) - scored :])
            documents_BT[row, start:stop] = index
            positions_BT[row, start:stop] = torch.arange(lengths[index])
            start = stop
    if len(rows) == len(samples):
        return Rows(inputs_BT, labels_BT, None, None)
    return Rows(inputs_BT, labels_BT, documents_BT, positions_BT)
