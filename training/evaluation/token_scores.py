"""How likely a model finds given tokens.

Shape legend: B requests of a batch, T positions, V vocabulary, N scored tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.generation.sampling import greedy
from training.model.cache import KeyValueCache
from training.model.gpt import GPT

__all__ = [
    "TokenScores",
    "in_batches",
    "rows_at_once",
    "token_losses",
    "token_scores",
]

# Logits of one forward pass at most: 2 GiB in float32.
_LOGITS = 2**29


def rows_at_once(model: GPT, batch: int) -> int:
    """At most `batch` sequences of the model's context, fewer where their logits would not fit in memory."""
    return max(1, min(batch, _LOGITS // (model.config.context * model.config.vocabulary_size)))


def in_batches(lengths: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Indices in batches, longest first, so that a batch pads little; equal lengths keep their order."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


@dataclass(frozen=True)
class TokenScores:
    """Of the scored tokens of one row (N): nats of loss in float32, and whether each was the likeliest; on the CPU."""

    losses: Tensor
    greedy: Tensor


def token_scores(
    model: GPT, rows: Sequence[Sequence[int]], scored: Sequence[int], cache: KeyValueCache | None = None
) -> list[TokenScores]:
    """How likely the last tokens of each row are, given all before them.

    Args:
        model: in eval mode.
        rows: token ids, at most context + 1 each; padded on the right, where causal attention never looks.
        scored: how many tokens at the end of each row are scored.
        cache: of what stands before the rows, one sequence a row; extended in place.
    """
    device = model.token_embedding.weight.device
    width = max(map(len, rows)) - 1
    tokens_BT = torch.zeros(len(rows), width, dtype=torch.int64)
    for row, ids in zip(tokens_BT, rows, strict=True):
        row[: len(ids) - 1] = torch.tensor(ids[:-1])
    places_N = torch.cat([torch.arange(len(r) - 1 - n, len(r) - 1) for r, n in zip(rows, scored, strict=True)])
    rows_N = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(list(scored)))
    labels_N = torch.tensor([token for ids, n in zip(rows, scored, strict=True) for token in ids[len(ids) - n :]])
    losses, likeliest = [], []
    with torch.inference_mode():
        hidden_ND = model.hidden(tokens_BT.to(device), cache)[rows_N.to(device), places_N.to(device)]
        at_once = max(1, _LOGITS // model.config.vocabulary_size)
        for part_MD, labels_M in zip(
            torch.split(hidden_ND, at_once), torch.split(labels_N.to(device), at_once), strict=True
        ):
            logits_MV = model.logits(part_MD).float()
            losses.append(functional.cross_entropy(logits_MV, labels_M, reduction="none").cpu())
            likeliest.append((greedy(logits_MV) == labels_M).cpu())
    sizes = list(scored)
    pairs = zip(torch.split(torch.cat(losses), sizes), torch.split(torch.cat(likeliest), sizes), strict=True)
    return [TokenScores(*pair) for pair in pairs]


def token_losses(model: GPT, rows: Sequence[Sequence[int]], scored: Sequence[int]) -> list[Tensor]:
    """Negative log-likelihood of the last tokens of each row, nats; see `token_scores`."""
    return [one.losses for one in token_scores(model, rows, scored)]
