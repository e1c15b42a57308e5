"""One optimizer step over any number of micro-batches.

Shape legend: B sequences, T positions, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.hardware import matrix_precision
from training.loop.randomness import dropout_randomness

__all__ = ["IGNORED_LABEL", "StepResult", "summed_loss", "train_step"]

IGNORED_LABEL = -100  # positions with this label count neither in the loss nor in the number of tokens


@dataclass(frozen=True)
class StepResult:
    """What a step did. Where loss or gradient was not finite, the weights were left as they were."""

    loss: float
    tokens: int
    gradient_norm: float

    @property
    def is_finite(self) -> bool:
        """Whether the weights were updated."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


def summed_loss(logits_BTV: Tensor, labels_BT: Tensor) -> Tensor:
    """Cross-entropy in nats, float32, summed over all labels but the ignored ones; 0 where all are ignored."""
    return functional.cross_entropy(
        logits_BTV.flatten(0, 1).float(), labels_BT.flatten(), ignore_index=IGNORED_LABEL, reduction="sum"
    )


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    micro_batches: Sequence[tuple[Tensor, Tensor]],
    *,
    gradient_clip: float,
    precision: str,
    seed: int,
    step: int,
) -> StepResult:
    """Accumulate gradients over micro-batches, clip their norm, update the weights.

    The gradient is that of the mean loss over all tokens of all micro-batches, however they fall into these: a mean
    of means would give tokens of a sparsely labelled micro-batch more weight.

    Args:
        model: in train mode.
        optimizer: with its learning rates set.
        micro_batches: (inputs, labels), each (B, T) int64 on the model's device.
        gradient_clip: largest norm of the gradient.
        precision: see `training.hardware.matrix_precision`.
        seed: with `step`, decides dropout.
        step: number of this step.
    """
    tokens = sum(int((labels != IGNORED_LABEL).sum()) for _, labels in micro_batches)
    optimizer.zero_grad(set_to_none=True)
    loss = 0.0
    for index, (inputs, labels) in enumerate(micro_batches):
        with dropout_randomness(seed, step, index, inputs.device):
            with matrix_precision(precision, inputs.device):
                logits = model(inputs)
            part = summed_loss(logits, labels) / max(1, tokens)
        part.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it unannotated
        loss += part.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), gradient_clip).item()
    result = StepResult(loss, tokens, norm)
    if result.is_finite:
        optimizer.step()
    return result
