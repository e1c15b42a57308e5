from __future__ import annotations

import math

import pytest
import torch

from schemas.configs.model import ModelConfig
from training.evaluation.likelihood import Request, best_choice, in_batches, log_likelihoods, rows_at_once
from training.model.gpt import GPT

END = 0


@pytest.fixture(scope="module")
def model() -> GPT:
    config = ModelConfig(vocabulary_size=40, context=12, layers=2, heads=2, width=16, band=3)
    network = GPT(config, seed=1).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(6)
    return network


def slow(model: GPT, ids: list[int], scored: int) -> float:
    """Log-likelihood of the last ids, one full forward pass a token."""
    total = 0.0
    for place in range(len(ids) - scored, len(ids)):
        with torch.inference_mode():
            logits = model(torch.tensor([ids[:place]]))[0, -1].double()
        total += float(logits[ids[place]] - logits.logsumexp(0))
    return total


REQUESTS = [
    Request([], [5]),
    Request([3, 4], [5, 6, 7]),
    Request([3, 4], [9]),
    Request([1, 2, 3, 4, 5, 6], [7, 8]),
    Request([8] * 9, [1, 2, 3]),
    Request(list(range(1, 30)), [7, 8, 9]),
]


def test_sums_equal_scoring_token_by_token(model: GPT) -> None:
    sums, cut = log_likelihoods(model, REQUESTS, END, batch=4)
    for request, total, truncated in zip(REQUESTS, sums, cut, strict=True):
        whole = [END, *request.context, *request.answer]
        assert truncated == (len(whole) > 13)
        assert total == pytest.approx(slow(model, whole[-13:], len(request.answer)), abs=1e-3)


def test_an_answer_longer_than_the_context_is_scored_as_far_as_it_fits(model: GPT) -> None:
    answer = [(7 * i) % 39 + 1 for i in range(20)]
    (total,), (cut,) = log_likelihoods(model, [Request([1], answer)], END, batch=1)
    assert cut
    assert total == pytest.approx(slow(model, answer[-13:], 12), abs=1e-3)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_scores_do_not_depend_on_the_batch(model: GPT, batch: int) -> None:
    alone, _ = log_likelihoods(model, REQUESTS, END, batch=3)
    assert log_likelihoods(model, REQUESTS, END, batch)[0] == pytest.approx(alone, abs=1e-4)


def test_the_probabilities_of_all_tokens_add_up_to_one(model: GPT) -> None:
    sums, _ = log_likelihoods(model, [Request([3], [token]) for token in range(40)], END, batch=8)
    assert math.fsum(map(math.exp, sums)) == pytest.approx(1, abs=1e-5)


def test_batches_hold_each_index_once_longest_first() -> None:
    batches = list(in_batches([3, 9, 3, 5], 3))
    assert batches == [[1, 3, 0], [2]]


def test_ties_go_to_the_lowest_position() -> None:
    assert best_choice([-2.0, -1.0, -1.0]) == 1
    assert best_choice([-1.00001, -1.0, -3.0]) == 0
    assert best_choice([-1.1, -1.0]) == 1


def test_a_batch_shrinks_where_its_logits_would_not_fit(model: GPT) -> None:
    assert rows_at_once(model, 32) == 32
    # GPT-3's context and vocabulary: 2,048 times 50,257 logits a sequence are 412 MB.
    wide = GPT(ModelConfig(vocabulary_size=50_257, context=2048, layers=1, heads=1, width=8, band=8))
    assert rows_at_once(wide, 32) == 5
