"""Choosing the next token from a model's logits."""

from __future__ import annotations

import torch
from torch import Tensor

from schemas.configs.generate import GenerateConfig

__all__ = ["greedy", "next_token"]

# Logits that differ by less are equal up to the rounding of matrix products, which depends on the shape of a batch.
_TIE = 1e-4


def greedy(logits_BV: Tensor) -> Tensor:
    """The most likely token of each row (B); among equals up to rounding, the one of the lowest id."""
    highest_B1 = logits_BV.amax(dim=-1, keepdim=True)
    return (logits_BV >= highest_B1 - _TIE).to(torch.uint8).argmax(dim=-1)


def _nucleus(probabilities_V: Tensor, top_p: float) -> Tensor:
    """Probabilities of the fewest most likely tokens that make up `top_p`, the others 0 (Holtzman et al. 2020)."""
    sorted_V, order_V = probabilities_V.sort(descending=True, stable=True)
    before_V = sorted_V.cumsum(0) - sorted_V
    return probabilities_V.index_fill(0, order_V[before_V >= top_p], 0.0)


def next_token(logits_V: Tensor, config: GenerateConfig, generator: torch.Generator) -> int:
    """Draw the next token.

    Args:
        logits_V: logits over the vocabulary.
        config: temperature 0 is greedy; top-k is applied before top-p.
        generator: a generator on the CPU; the only source of randomness.
    """
    logits_V = logits_V.detach().float().cpu()
    if config.temperature == 0:
        return int(greedy(logits_V[None]))
    logits_V = logits_V / config.temperature
    if config.top_k is not None and config.top_k < len(logits_V):
        kept = logits_V.topk(config.top_k).indices
        logits_V = torch.full_like(logits_V, -torch.inf).index_copy(0, kept, logits_V[kept])
    probabilities_V = logits_V.softmax(dim=0)
    if config.top_p < 1:
        probabilities_V = _nucleus(probabilities_V, config.top_p)
    return int(torch.multinomial(probabilities_V, 1, generator=generator))
