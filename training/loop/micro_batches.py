"""A step's batch as one rank trains on it: cut in micro-batches of the same shape and number on every rank."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.data.batches import Batch
from training.data.order import rows_of_rank
from training.loop.step import MicroBatch
from training.model.loss import IGNORED_LABEL
from training.process_group import Ranks

__all__ = ["document_numbers", "micro_batches_of"]


def document_numbers(boundaries: Tensor, rows: int, length: int) -> Tensor:
    """For each position the number of its document, (B, T) int32; see `Batch.boundaries`."""
    begins = torch.zeros(rows * length, dtype=torch.int32)
    begins[boundaries[:-1]] = 1
    return begins.cumsum(0, dtype=torch.int32).view(rows, length)


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def micro_batches_of(batch: Batch, samples: int, size: int | None, ranks: Ranks, documents: bool) -> list[MicroBatch]:
    """Cut a rank's part of a step.

    Where the samples do not divide over the ranks, those with one less get a row whose labels are ignored: ranks wait
    for each other in every forward pass of a sharded model, so all make the same.

    Args:
        batch: the rank's samples.
        samples: of all ranks together.
        size: rows of a micro-batch; None for all that the rank has.
        ranks: this rank and how many there are.
        documents: whether attention is to end at documents.
    """
    first, _ = rows_of_rank(samples, ranks.rank, ranks.size)
    rows = -(-samples // ranks.size)
    tensors = batch.tensors()
    missing = (0, 0, 0, rows - len(tensors.inputs))
    parts = [functional.pad(tensors.inputs, missing), functional.pad(tensors.labels, missing, value=IGNORED_LABEL)]
    if documents and tensors.boundaries is not None:
        numbers = document_numbers(tensors.boundaries, *tensors.inputs.shape)
        parts.append(functional.pad(numbers, missing))
    cut = zip(*(torch.split(_moved(part, ranks.device), size or rows) for part in parts), strict=True)
    return [
        MicroBatch(part[0], part[1], first + number * (size or rows), part[2] if len(part) > 2 else None)
        for number, part in enumerate(cut)
    ]
