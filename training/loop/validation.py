"""Loss on held-out windows while a run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from training.data.document_starts import boundaries_of
from training.data.shards import TokenStream
from training.hardware import matrix_precision
from training.loop.micro_batches import document_numbers
from training.model.gpt import GPT
from training.model.loss import IGNORED_LABEL
from training.process_group import Ranks

__all__ = ["ValidationLoss", "has_stopped_learning", "validate"]

# Fixed, so that the loss does not depend on how training cuts its batches.
_WINDOWS_AT_ONCE = 8


@dataclass(frozen=True)
class ValidationLoss:
    """Mean loss in nats per token, over all sources and for each."""

    loss: float
    by_source: dict[str, float]


def _group_loss(model: GPT, stream: TokenStream, windows: list[int], device: torch.device, precision: str) -> float:
    """The summed loss of some windows; of none, 0 after the same forward pass, which the other ranks take part in."""
    length = stream.sequence_length
    tokens = np.zeros((max(1, len(windows)), length + 1), dtype=np.int64)
    for row, window in zip(tokens, windows, strict=False):
        stream.read_window(window, row)
    batch, documents = torch.from_numpy(tokens).to(device), None
    labels = batch[:, 1:] if windows else torch.full_like(batch[:, 1:], IGNORED_LABEL)
    if stream.document_starts is not None and windows:
        which, positions = boundaries_of(stream.document_starts, np.array(windows), length)
        edges = np.sort(np.concatenate([np.arange(len(windows) + 1) * length, which * length + positions]))
        documents = document_numbers(torch.from_numpy(edges), len(windows), length).to(device)
    with matrix_precision(precision, device):
        loss = model(batch[:, :-1], labels_BT=labels, documents_BT=documents)
    return float(loss.item())


def _source_loss(model: GPT, stream: TokenStream, limit: int, precision: str, ranks: Ranks) -> tuple[float, int]:
    count = min(limit, stream.windows)
    chosen = [number * stream.windows // count for number in range(count)]
    groups = [chosen[start : start + _WINDOWS_AT_ONCE] for start in range(0, count, _WINDOWS_AT_ONCE)]
    turns = -(-len(groups) // ranks.size)
    mine = list(ranks.mine(groups))
    mine += [[] for _ in range(turns - len(mine))]
    total = sum(_group_loss(model, stream, windows, ranks.device, precision) for windows in mine)
    return ranks.sums(total)[0], count * stream.sequence_length


@torch.no_grad()  # tensors of inference mode could not be reused by a sharded model that goes on training
def validate(
    model: GPT, streams: list[TokenStream], windows: int, precision: str, ranks: Ranks | None = None
) -> ValidationLoss | None:
    """The loss on up to `windows` windows of each stream, spread evenly over it; the same ones every time.

    Args:
        model: whole, or sharded over the ranks.
        streams: of the validation split; with document starts where attention is to end at documents.
        windows: of each stream at most.
        precision: see `training.hardware.matrix_precision`.
        ranks: that share the windows; this process alone where not given.

    Returns:
        None where no stream holds a whole window.
    """
    ranks = ranks or Ranks(model.token_embedding.weight.device)
    was_training = model.training
    model.eval()
    sums = {s.source: _source_loss(model, s, windows, precision, ranks) for s in streams if s.windows}
    model.train(was_training)
    if not sums:
        return None
    total = sum(loss for loss, _ in sums.values()) / sum(tokens for _, tokens in sums.values())
    return ValidationLoss(total, {source: loss / tokens for source, (loss, tokens) in sums.items()})


def has_stopped_learning(losses: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` validation losses are all no better than the best one before them; never for 0."""
    if not patience or len(losses) <= patience:
        return False
    return min(losses[-patience:]) >= min(losses[:-patience])
