from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.configs.model import ModelConfig
from training.evaluation.likelihood import Request, best_choice, log_likelihoods, score_answers
from training.evaluation.steps import finish
from training.evaluation.token_scores import in_batches, rows_at_once
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


@given(
    lengths=st.lists(st.tuples(st.integers(0, 14), st.lists(st.integers(1, 5), min_size=1, max_size=4)), max_size=6),
    batch=st.integers(1, 8),
)
@settings(max_examples=30)
def test_answers_that_share_a_context_score_as_they_do_alone(
    model: GPT, lengths: list[tuple[int, list[int]]], batch: int
) -> None:
    # Contexts and answers beyond the 12 positions of the model among them, and a band of 3.
    asked = [
        (
            [(3 * n + i) % 39 + 1 for i in range(context)],
            [[(7 * k + i) % 39 + 1 for i in range(length)] for k, length in enumerate(answers)],
        )
        for n, (context, answers) in enumerate(lengths)
    ]
    found = finish(score_answers(model, asked, END, batch))
    assert [len(one) for one in found] == [len(answers) for _, answers in asked]
    for (context, answers), scores in zip(asked, found, strict=True):
        for answer, score in zip(answers, scores, strict=True):
            whole = [END, *context, *answer]
            assert score.cut == (len(whole) > 13)
            assert score.nats == pytest.approx(slow(model, whole[-13:], len(answer)), abs=1e-3)
            with torch.inference_mode():
                likeliest = model(torch.tensor([whole[-13:][:-1]]))[0].argmax(-1)[-len(answer) :].tolist()
            assert (score.greedy, score.last_greedy) == (likeliest == answer, likeliest[-1] == answer[-1])


def test_a_context_is_computed_once_whatever_the_number_of_its_answers(
    model: GPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = []
    hidden = GPT.hidden

    def counted(self: GPT, tokens: torch.Tensor, *others: object) -> torch.Tensor:
        positions.append(tokens.numel())
        return hidden(self, tokens, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(GPT, "hidden", counted)
    finish(score_answers(model, [([5] * 10, [[1], [2], [3], [4]])], END, 8))
    # Ten tokens of end-of-text and context, and the context's last token for each answer.
    assert positions == [10, 4]
