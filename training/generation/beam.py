"""Beam search: the likeliest whole text, instead of the likeliest next token.

GPT-3 answers free-form questions with four beams and a length penalty of 0.6 (Brown et al. 2020, section 2.4).
Shape legend: B beams, T positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from training.model.cache import KeyValueCache
from training.model.gpt import GPT

__all__ = ["beam_search"]


@dataclass(frozen=True)
class _Beam:
    """A text so far; `parent` is the row of the batch that it goes on from."""

    ids: tuple[int, ...]
    log_probability: float
    parent: int = 0


def _penalty(tokens: int, power: float) -> float:
    """What a log-probability is divided by (Wu et al. 2016, "Google's Neural Machine Translation", equation 14)."""
    return float(((5 + tokens) / 6) ** power)


@torch.inference_mode()
def beam_search(
    model: GPT,
    prompt: Sequence[int],
    *,
    beams: int,
    length_penalty: float,
    max_tokens: int,
    end_of_text: int,
    finished: Callable[[list[int]], bool],
) -> list[int]:
    """The best continuation that a search of `beams` texts at once finds.

    A text ends with end-of-text, which counts as one of its tokens, with what `finished` says, or at `max_tokens`. The
    search ends when no unfinished text can come to a better score: further tokens only lower its log-probability.

    Args:
        model: in eval mode.
        prompt: at least one id; with `max_tokens` more it fits in the context.
        beams: unfinished texts that are kept.
        length_penalty: 0 prefers short texts, higher numbers longer ones.
        max_tokens: new tokens at most.
        end_of_text: ends a text, and is not part of the result.
        finished: whether a text ends with these ids.

    Returns:
        New ids; among equal scores those found first.
    """
    device = next(model.parameters()).device
    cache, pending_BT = KeyValueCache(model.config), torch.tensor([list(prompt)], device=device)
    alive, best, best_score = [_Beam((), 0.0)], None, -torch.inf
    for length in range(1, max_tokens + 1):
        before_B1 = torch.tensor([[beam.log_probability] for beam in alive], device=device)
        totals_BV = before_B1 + model(pending_BT, cache)[:, -1].float().log_softmax(dim=-1)
        # Of twice as many, enough remain when each beam has ended.
        likeliest = totals_BV.flatten().topk(min(2 * beams, totals_BV.numel()))
        before, alive = alive, []
        for total, place in zip(likeliest.values.tolist(), likeliest.indices.tolist(), strict=True):
            parent, token = divmod(place, totals_BV.shape[1])
            ids, score = before[parent].ids, total / _penalty(length, length_penalty)
            ends = token == end_of_text
            if not ends:
                ids = (*ids, token)
                ends = length == max_tokens or finished(list(ids))
            if ends and score > best_score:
                best, best_score = ids, score
            elif not ends and len(alive) < beams:
                alive.append(_Beam(ids, total, parent))
        if not alive or alive[0].log_probability / _penalty(max_tokens, length_penalty) <= best_score:
            break
        cache = cache.take(torch.tensor([beam.parent for beam in alive], device=device))
        pending_BT = torch.tensor([[beam.ids[-1]] for beam in alive], device=device)
    return list(best or ())
