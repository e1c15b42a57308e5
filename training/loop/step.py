"""One optimizer step over any number of micro-batches and ranks.

Shape legend: B sequences, T positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from training.hardware import matrix_precision
from training.loop.parallel import gradients_shared
from training.loop.randomness import dropout_randomness
from training.model.loss import IGNORED_LABEL
from training.process_group import Ranks

__all__ = ["Judge", "MicroBatch", "StepResult", "train_step"]

# Told loss and gradient norm, says why the weights are to stay as they are; empty where they are not.
Judge = Callable[[float, float], str]


class MicroBatch(NamedTuple):
    """Sequences of one forward pass, on the model's device."""

    inputs: Tensor  # (B, T) int64
    labels: Tensor  # (B, T) int64
    row: int = 0  # of the first sequence, counted in the whole step
    documents: Tensor | None = None  # (B, T), where attention ends at documents
    positions: Tensor | None = None  # (B, T), where sequences of a row begin anew


@dataclass(frozen=True)
class StepResult:
    """What a step did, the same on all ranks. Where it was refused, the weights were left as they were."""

    loss: float
    tokens: int
    gradient_norm: float
    refused: str = ""

    @property
    def is_finite(self) -> bool:
        """Whether loss and gradient are numbers."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


def _any(_loss: float, _norm: float) -> str:
    return ""


def _accumulate(
    model: nn.Module,
    micro_batches: Sequence[MicroBatch],
    tokens: int,
    ranks: Ranks,
    precision: str,
    seed: int,
    step: int,
) -> float:
    """Add up the gradients of all micro-batches, on the last over the ranks as well; gives the loss of this rank."""
    total = torch.zeros((), dtype=torch.float64, device=ranks.device)
    for index, (inputs, labels, row, documents, positions) in enumerate(micro_batches):
        with gradients_shared(model, index == len(micro_batches) - 1):
            with dropout_randomness(seed, step, row, inputs.device), matrix_precision(precision, inputs.device):
                loss = model(inputs, labels_BT=labels, documents_BT=documents, positions_BT=positions)
            # Gradients are averaged over ranks, and the sum is wanted.
            (loss * (ranks.size / max(1, tokens))).backward()
        total += loss.detach()
    return total.item() / max(1, tokens)


def _clip(model: nn.Module, largest: float) -> float:
    norm = nn.utils.clip_grad_norm_(model.parameters(), largest)
    return (norm.full_tensor() if isinstance(norm, DTensor) else norm).item()


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    micro_batches: Sequence[MicroBatch],
    *,
    gradient_clip: float,
    precision: str,
    seed: int,
    step: int,
    ranks: Ranks | None = None,
    tokens: int | None = None,
    judge: Judge = _any,
) -> StepResult:
    """Accumulate gradients over micro-batches and ranks, clip their norm, update the weights.

    The gradient is that of the mean loss over all tokens of all micro-batches of all ranks, however they fall into
    these: a mean of means would give tokens of a sparsely labelled micro-batch more weight.

    Args:
        model: a GPT in train mode, as `training.loop.parallel` makes it for many ranks.
        optimizer: with its learning rates set.
        micro_batches: of this rank, the same number on each.
        gradient_clip: largest norm of the gradient.
        precision: see `training.hardware.matrix_precision`.
        seed: with `step`, decides dropout.
        step: number of this step.
        ranks: those that take part; this process alone where not given.
        tokens: labels of all ranks, where the caller knows them.
        judge: refuses an update; what is not finite is refused anyway.
    """
    ranks = ranks or Ranks(micro_batches[0].inputs.device)
    if tokens is None:
        (counted,) = ranks.sums(sum(int((batch.labels != IGNORED_LABEL).sum()) for batch in micro_batches))
        tokens = int(counted)
    optimizer.zero_grad(set_to_none=True)
    (loss,) = ranks.sums(_accumulate(model, micro_batches, tokens, ranks, precision, seed, step))
    result = StepResult(loss, tokens, _clip(model, gradient_clip))
    refused = judge(result.loss, result.gradient_norm) if result.is_finite else "not finite"
    if refused:
        return StepResult(result.loss, tokens, result.gradient_norm, refused)
    optimizer.step()
    return result
