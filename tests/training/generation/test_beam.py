from __future__ import annotations

import itertools

import pytest
import torch

from schemas.configs.model import ModelConfig
from training.generation.beam import beam_search
from training.model.gpt import GPT

END, TOKENS = 0, 4


def random_model(seed: int, vocabulary: int, context: int = 16) -> GPT:
    """A model whose next tokens are far from equally likely."""
    model = GPT(ModelConfig(vocabulary_size=vocabulary, context=context, layers=2, heads=2, width=16, band=4), seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6)
    return model.eval()


def log_probability(model: GPT, prompt: list[int], ids: tuple[int, ...]) -> float:
    with torch.inference_mode():
        logs = model(torch.tensor([[*prompt, *ids]]))[0].log_softmax(-1)
    return sum(float(logs[len(prompt) - 1 + place, token]) for place, token in enumerate(ids))


def best_of_all(model: GPT, prompt: list[int], vocabulary: int, power: float, stop: int | None) -> list[int]:
    """Every text of up to four tokens is scored on its own, without a cache."""
    scored = []
    for length in range(1, TOKENS + 1):
        for ids in itertools.product(range(vocabulary), repeat=length):
            ended = [place for place, token in enumerate(ids) if token in (END, stop)]
            if (ended and ended[0] == length - 1) or (not ended and length == TOKENS):
                scored.append((log_probability(model, prompt, ids) / ((5 + length) / 6) ** power, ids))
    best = max(scored)[1]
    return [token for token in best if token != END]


@pytest.mark.parametrize("power", [0.0, 0.6, 3.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_search_as_wide_as_all_texts_finds_the_best_of_them(seed: int, power: float) -> None:
    model, prompt = random_model(seed, 4), [1, 2, 3]
    for stop in (None, 2):
        found = beam_search(
            model,
            prompt,
            beams=256,
            length_penalty=power,
            max_tokens=TOKENS,
            end_of_text=END,
            finished=lambda ids, stop=stop: ids[-1] == stop,
        )
        assert found == best_of_all(model, prompt, 4, power, stop)


def test_more_beams_find_a_text_that_greedy_choices_miss() -> None:
    """Of ten random models, four beams are never worse than one, and better for some."""
    gains = []
    for seed in range(10):
        model, prompt, scores = random_model(seed, 40), [5, 6, 7], []
        for beams in (1, 4):
            ids = beam_search(
                model,
                prompt,
                beams=beams,
                length_penalty=0.0,
                max_tokens=6,
                end_of_text=-1,
                finished=lambda _ids: False,
            )
            scores.append(log_probability(model, prompt, tuple(ids)))
        gains.append(scores[1] - scores[0])
    assert min(gains) > -1e-4
    assert max(gains) > 0.1


def test_the_length_penalty_prefers_longer_texts() -> None:
    lengths = []
    for power in (0.0, 1.0, 5.0):
        found = [
            beam_search(
                random_model(seed, 6),
                [1, 2],
                beams=4,
                length_penalty=power,
                max_tokens=8,
                end_of_text=END,
                finished=lambda _ids: False,
            )
            for seed in range(8)
        ]
        lengths.append(sum(map(len, found)))
    assert lengths[0] < lengths[1] < lengths[2]
