"""Answering many prompts at once, greedily."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

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
) -> list[list[int]]:
    """The likeliest next tokens of each prompt, one at a time.

    All rows stand at the same position: the cache is filled up to the shortest prompt, and from there on a row takes
    its prompt's own token while it has one, and generates after that. So nothing is padded.

    Args:
        model: in eval mode.
        prompts: at least one id each; with `max_tokens` more they fit in the context.
        max_tokens: new tokens of a row at most.
        end_of_text: ends a row, and is not part of its answer.
        finished: whether the prompt of this number is answered by these ids.

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
            chosen_B = greedy(model(current_BT, cache)[:, -1].float()).tolist()
        for row, prompt in enumerate(prompts):
            if position < len(prompt):
                chosen_B[row] = prompt[position]
            elif not done[row]:
                if chosen_B[row] != end_of_text:
                    answers[row].append(chosen_B[row])
                full = len(answers[row]) == max_tokens
                done[row] = chosen_B[row] == end_of_text or full or finished(row, answers[row])
        if all(done):
            break
        current_BT = torch.tensor(chosen_B, device=device)[:, None]
    return answers
