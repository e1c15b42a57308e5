"""Answering many prompts at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from training.generation.sampling import greedy
from training.model.cache import KeyValueCache
from training.model.gpt import GPT

__all__ = ["answer_batch"]


def answer_batch(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    max_tokens: int,
    end_of_text: int,
    finished: Callable[[int, list[int]], bool],
    draw: Callable[[int, Tensor], int] | None = None,
) -> list[list[int]]:
    """The next tokens of each prompt, one at a time.

    All rows stand at the same position: the cache is filled up to the shortest prompt, and from there on a row takes
    its prompt's own token while it has one, and generates after that. So nothing is padded.

    Args:
        model: in eval mode.
        prompts: at least one id each; with `max_tokens` more they fit in the context.
        max_tokens: new tokens of a row at most.
        end_of_text: ends a row, and is not part of its answer.
        finished: whether the prompt of this number is answered by these ids.
        draw: the next token of the prompt of this number from its logits (V); the likeliest where not given.

    Returns:
        New ids of each prompt.
    """
    device = next(model.parameters()).device
    shortest, longest = min(map(len, prompts)), max(map(len, prompts))
    answers: list[list[int]] = [[] for _ in prompts]
    done = [False] * len(prompts)
    cache = KeyValueCache(model.config)
    current_BT = torch.tensor([list(prompt[:shortest]) for prompt in prompts], device=device)
    for position in range(shortest, longest + max_tokens):
        with torch.inference_mode():
            logits_BV = model(current_BT, cache)[:, -1].float()
            following = greedy(logits_BV).tolist()
        for row, prompt in enumerate(prompts):
            if position < len(prompt):
                following[row] = prompt[position]
            elif not done[row]:
                token = following[row] = draw(row, logits_BV[row]) if draw else following[row]
                if token != end_of_text:
                    answers[row].append(token)
                full = len(answers[row]) == max_tokens
                done[row] = token == end_of_text or full or finished(row, answers[row])
        if all(done):
            break
        current_BT = torch.tensor(following, device=device)[:, None]
    return answers
