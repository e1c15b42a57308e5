"""Loss on held-out windows while a run goes on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from training.data.shards import TokenStream
from training.hardware import matrix_precision
from training.loop.step import summed_loss
from training.model.gpt import GPT

__all__ = ["ValidationLoss", "validate"]

# Fixed, so that the loss does not depend on how training cuts its batches.
_WINDOWS_AT_ONCE = 8


@dataclass(frozen=True)
class ValidationLoss:
    """Mean loss in nats per token, over all sources and for each."""

    loss: float
    by_source: dict[str, float]


def _source_loss(model: GPT, stream: TokenStream, limit: int, precision: str) -> tuple[float, int]:
    count = min(limit, stream.windows)
    device = model.token_embedding.weight.device
    chosen = [number * stream.windows // count for number in range(count)]
    total = 0.0
    for start in range(0, count, _WINDOWS_AT_ONCE):
        windows = chosen[start : start + _WINDOWS_AT_ONCE]
        tokens = np.empty((len(windows), stream.sequence_length + 1), dtype=np.int64)
        for row, window in zip(tokens, windows, strict=True):
            stream.read_window(window, row)
        batch = torch.from_numpy(tokens).to(device)
        with matrix_precision(precision, device):
            logits = model(batch[:, :-1])
        total += summed_loss(logits, batch[:, 1:]).item()
    return total, count * stream.sequence_length


@torch.inference_mode()
def validate(model: GPT, streams: list[TokenStream], windows: int, precision: str) -> ValidationLoss | None:
    """The loss on up to `windows` windows of each stream, spread evenly over it; the same ones every time.

    Returns:
        None where no stream holds a whole window.
    """
    was_training = model.training
    model.eval()
    sums = {s.source: _source_loss(model, s, windows, precision) for s in streams if s.windows}
    model.train(was_training)
    if not sums:
        return None
    total = sum(loss for loss, _ in sums.values()) / sum(tokens for _, tokens in sums.values())
    return ValidationLoss(total, {source: loss / tokens for source, (loss, tokens) in sums.items()})
