from __future__ import annotations

from collections import Counter

import pytest
import torch

from schemas.configs.generate import GenerateConfig
from training.generation.sampling import greedy, next_token

LOGITS = torch.log(torch.tensor([0.5, 0.1, 0.3, 0.1]))


def draws(count: int = 400, **settings: object) -> Counter[int]:
    generator = torch.Generator().manual_seed(1)
    config = GenerateConfig(**settings)
    return Counter(next_token(LOGITS, config, generator) for _ in range(count))


def test_greedy_takes_the_lowest_id_among_equals() -> None:
    rows = torch.tensor([[0.0, 3.0, 3.0 + 1e-6, 1.0], [2.0, 1.0, 2.0, 2.0], [0.0, 1.0, 2.0, 3.0]])
    assert greedy(rows).tolist() == [1, 0, 3]
    assert draws(temperature=0) == {0: 400}


def test_draws_follow_the_probabilities_at_temperature_one() -> None:
    counts = draws(4000, temperature=1)
    assert [counts[i] / 4000 for i in range(4)] == pytest.approx([0.5, 0.1, 0.3, 0.1], abs=0.03)


def test_temperature_sharpens_and_flattens() -> None:
    # p^(1/t) normalized: at t = 0.5 the squares 25 : 1 : 9 : 1.
    assert draws(4000, temperature=0.5)[0] / 4000 == pytest.approx(25 / 36, abs=0.03)
    assert draws(4000, temperature=100)[1] / 4000 == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("settings", "possible"),
    [
        ({"top_k": 1}, {0}),
        ({"top_k": 2}, {0, 2}),
        ({"top_k": 99}, {0, 1, 2, 3}),
        ({"top_p": 0.5}, {0}),
        ({"top_p": 0.51}, {0, 2}),
        ({"top_p": 0.85}, {0, 1, 2}),
        ({"top_k": 3, "top_p": 0.6}, {0, 2}),
    ],
)
def test_top_k_and_top_p_leave_the_likeliest(settings: dict[str, object], possible: set[int]) -> None:
    assert set(draws(temperature=1, **settings)) == possible


def test_equal_seeds_give_equal_draws_and_touch_no_global_state() -> None:
    before = torch.random.get_rng_state()
    assert draws(temperature=1) == draws(temperature=1)
    assert torch.equal(before, torch.random.get_rng_state())
