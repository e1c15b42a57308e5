"""How likely a model finds given continuations.

Shape legend: B requests of a batch, T positions, V vocabulary, N scored tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.model.gpt import GPT

__all__ = ["Request", "best_choice", "in_batches", "log_likelihoods", "rows_at_once", "token_losses"]

# Logits of one forward pass at most: 2 GiB in float32.
_LOGITS = 2**29
# Nats by which equal scores may differ between shapes of a batch: matrix products round by their shape.
_TIE_NATS = 1e-4


@dataclass(frozen=True)
class Request:
    """Token ids that are given and token ids that are scored after them."""

    context: list[int]
    answer: list[int]


def rows_at_once(model: GPT, batch: int) -> int:
    """At most `batch` sequences of the model's context, fewer where their logits would not fit in memory."""
    return max(1, min(batch, _LOGITS // (model.config.context * model.config.vocabulary_size)))


def in_batches(lengths: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Indices in batches, longest first, so that a batch pads little; equal lengths keep their order."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


def token_losses(model: GPT, rows: Sequence[Sequence[int]], scored: Sequence[int]) -> list[Tensor]:
    """Negative log-likelihood of the last tokens of each row given all before them, nats, in float32.

    Args:
        model: in eval mode.
        rows: token ids, at most context + 1 each; padded on the right, where causal attention never looks.
        scored: how many tokens at the end of each row are scored.

    Returns:
        For each row, `scored` losses, on the CPU.
    """
    device = next(model.parameters()).device
    width = max(map(len, rows)) - 1
    tokens_BT = torch.zeros(len(rows), width, dtype=torch.int64)
    for row, ids in zip(tokens_BT, rows, strict=True):
        row[: len(ids) - 1] = torch.tensor(ids[:-1])
    places_N = torch.cat([torch.arange(len(r) - 1 - n, len(r) - 1) for r, n in zip(rows, scored, strict=True)])
    rows_N = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(list(scored)))
    labels_N = torch.tensor([token for ids, n in zip(rows, scored, strict=True) for token in ids[len(ids) - n :]])
    with torch.inference_mode():
        logits_BTV = model(tokens_BT.to(device))
        logits_NV = logits_BTV[rows_N.to(device), places_N.to(device)].float()
        losses_N = functional.cross_entropy(logits_NV, labels_N.to(device), reduction="none").cpu()
    return list(torch.split(losses_N, list(scored)))


def log_likelihoods(
    model: GPT, requests: Sequence[Request], end_of_text: int, batch: int
) -> tuple[list[float], list[bool]]:
    """Sum of log-probabilities of each answer after its context.

    A context begins with the end-of-text id, as documents do in training. What does not fit in the model's context is
    cut from the left.

    Returns:
        For each request, the sum in nats (at most 0), and whether its context was cut.
    """
    limit = model.config.context + 1
    whole = [[end_of_text, *request.context, *request.answer] for request in requests]
    rows = [ids[-limit:] for ids in whole]
    sums = [0.0] * len(rows)
    for indices in in_batches([len(row) for row in rows], rows_at_once(model, batch)):
        scored = [min(len(requests[i].answer), len(rows[i]) - 1) for i in indices]
        losses = token_losses(model, [rows[i] for i in indices], scored)
        for index, loss_N in zip(indices, losses, strict=True):
            sums[index] = -float(loss_N.double().sum())
    return sums, [len(ids) > limit for ids in whole]


def best_choice(scores: Sequence[float]) -> int:
    """Position of the highest score; among scores that are equal up to rounding, the lowest position."""
    highest = max(scores)
    return next(index for index, score in enumerate(scores) if score >= highest - _TIE_NATS)
