from __future__ import annotations

import math

import pytest
import torch

from schemas.configs.model import ModelConfig
from training.loop.randomness import dropout_randomness
from training.loop.step import MicroBatch, StepResult, train_step
from training.model.gpt import GPT
from training.model.loss import IGNORED_LABEL
from training.seeds import derived_seed

SHAPE = ModelConfig(vocabulary_size=50, context=16, layers=2, heads=2, width=16, band=4)
CPU = torch.device("cpu")


def batch(rows: int, ignored: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randint(0, 50, (2, rows, 16), generator=generator)
    labels[torch.rand(rows, 16, generator=generator) < ignored] = IGNORED_LABEL
    return inputs, labels


def step(
    inputs: torch.Tensor, labels: torch.Tensor, sizes: list[int], shape: ModelConfig = SHAPE, seed: int = 0
) -> tuple[StepResult, GPT, dict[str, torch.Tensor]]:
    model = GPT(shape, seed=1).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rows = [sum(sizes[:number]) for number in range(len(sizes))]
    parts = list(map(MicroBatch, torch.split(inputs, sizes), torch.split(labels, sizes), rows))
    result = train_step(model, optimizer, parts, gradient_clip=1e9, precision="fp32", seed=seed, step=1)
    return result, model, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("sizes", [[4, 4, 4], [1] * 12, [1, 3, 8]])
def test_accumulating_over_ragged_micro_batches_equals_one_batch(sizes: list[int]) -> None:
    inputs, labels = batch(12, ignored=0.4)
    labels[0, 2:] = IGNORED_LABEL  # one row with two tokens: a mean of means would weigh these more
    whole, _, expected = step(inputs, labels, [12])
    split, _, found = step(inputs, labels, sizes)
    assert split.tokens == whole.tokens == int((labels != IGNORED_LABEL).sum())
    assert split.loss == pytest.approx(whole.loss, abs=1e-6)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=1e-6)


def test_the_loss_is_the_mean_over_labels_in_nats() -> None:
    inputs, labels = batch(3, ignored=0.3)
    result, _, _ = step(inputs, labels, [3])
    logs = GPT(SHAPE, seed=1)(inputs).log_softmax(-1)
    kept = labels != IGNORED_LABEL
    picked = logs[kept].gather(1, labels[kept][:, None])
    assert result.loss == pytest.approx(-picked.mean().item(), abs=1e-6)


def test_labels_that_are_all_ignored_give_no_gradient_and_no_nan() -> None:
    inputs, labels = batch(2, ignored=1.1)
    before = [p.clone() for p in GPT(SHAPE, seed=1).parameters()]
    result, model, gradients = step(inputs, labels, [1, 1])
    assert (result.loss, result.tokens, result.gradient_norm) == (0.0, 0, 0.0)
    assert not any(gradient.any() for gradient in gradients.values())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_gradients_are_clipped_to_the_norm() -> None:
    inputs, labels = batch(2)
    model = GPT(SHAPE, seed=1).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    result = train_step(
        model, optimizer, [MicroBatch(inputs, labels)], gradient_clip=0.01, precision="fp32", seed=0, step=1
    )
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
    assert norm == pytest.approx(0.01, rel=1e-3)
    assert result.gradient_norm > 0.01


def test_a_loss_that_is_not_finite_leaves_the_weights() -> None:
    inputs, labels = batch(2)
    model = GPT(SHAPE, seed=1).train()
    with torch.no_grad():
        model.norm.bias[0] = math.inf
    before = model.token_embedding.weight.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    result = train_step(
        model, optimizer, [MicroBatch(inputs, labels)], gradient_clip=1, precision="fp32", seed=0, step=1
    )
    assert not result.is_finite
    assert result.refused == "not finite"
    assert torch.equal(model.token_embedding.weight, before)


def test_a_judge_may_refuse_an_update_and_the_optimizer_counts_no_step_then() -> None:
    inputs, labels = batch(2)
    model = GPT(SHAPE, seed=1).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    told: list[tuple[float, float]] = []

    def judge(loss: float, norm: float) -> str:
        told.append((loss, norm))
        return "no" if len(told) == 2 else ""

    for number in (1, 2, 3):
        before = model.norm.bias.clone()
        result = train_step(
            model,
            optimizer,
            [MicroBatch(inputs, labels)],
            gradient_clip=1,
            precision="fp32",
            seed=0,
            step=number,
            judge=judge,
        )
        assert told[-1] == (result.loss, result.gradient_norm)
        assert (result.refused, torch.equal(model.norm.bias, before)) == (("no", True) if number == 2 else ("", False))
    assert {int(state["step"]) for state in optimizer.state.values()} == {2}


def test_dropout_depends_on_seed_and_step_alone_and_leaves_the_global_generator() -> None:
    shape = SHAPE.model_copy(update={"residual_dropout": 0.3, "attention_dropout": 0.3})
    inputs, labels = batch(4)
    before = torch.random.get_rng_state()
    first, _, _ = step(inputs, labels, [2, 2], shape, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    assert step(inputs, labels, [2, 2], shape, seed=5)[0] == first
    assert step(inputs, labels, [2, 2], shape, seed=6)[0] != first


def test_each_step_and_row_draws_its_own_dropout() -> None:
    draws = []
    for numbers in ((1, 1, 0), (1, 1, 1), (1, 2, 0), (2, 1, 0)):
        with dropout_randomness(*numbers, CPU):
            draws.append(torch.rand(1).item())
    assert len(set(draws)) == 4
    assert 0 <= derived_seed("dropout", 1, 2) < 2**63


def test_bfloat16_is_near_float32() -> None:
    inputs, labels = batch(4)
    model = GPT(SHAPE, seed=1).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    low = train_step(model, optimizer, [MicroBatch(inputs, labels)], gradient_clip=1, precision="bf16", seed=0, step=1)
    high = train_step(model, optimizer, [MicroBatch(inputs, labels)], gradient_clip=1, precision="fp32", seed=0, step=1)
    assert low.loss != high.loss
    assert low.loss == pytest.approx(high.loss, rel=5e-3)


def test_after_a_refused_step_adam_corrects_its_bias_by_the_steps_that_were_taken() -> None:
    """Against the closed form of Kingma and Ba 2015, algorithm 1, on the gradients of the steps that counted."""
    inputs, labels = batch(2)
    model = GPT(SHAPE, seed=1).train()
    rate, beta1, beta2, epsilon = 0.01, 0.9, 0.95, 1e-8
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=(beta1, beta2), eps=epsilon)
    weight = model.norm.bias
    before = weight.detach().double().clone()
    gradients: list[torch.Tensor] = []

    def judge(_loss: float, _norm: float) -> str:
        assert weight.grad is not None
        gradients.append(weight.grad.double().clone())
        return "no" if len(gradients) == 2 else ""

    for number in (1, 2, 3):
        parts = [MicroBatch(inputs, labels)]
        train_step(model, optimizer, parts, gradient_clip=1e9, precision="fp32", seed=0, step=number, judge=judge)
    first, second = torch.zeros_like(before), torch.zeros_like(before)
    for count, gradient in enumerate((gradients[0], gradients[2]), start=1):
        first = beta1 * first + (1 - beta1) * gradient
        second = beta2 * second + (1 - beta2) * gradient**2
        corrected = second / (1 - beta2**count)
        before -= rate * first / (1 - beta1**count) / (corrected.sqrt() + epsilon)
    torch.testing.assert_close(weight.detach().double(), before, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_a_thousand_steps_in_bfloat16_stay_by_those_in_float32() -> None:
    """Weights, gradients and moments are float32 whatever matrices are multiplied in, so roundings do not add up."""
    shape = ModelConfig(vocabulary_size=32, context=16, layers=1, heads=2, width=16, sparse=False)
    tokens = torch.randint(0, 32, (64, 17), generator=torch.Generator().manual_seed(3))
    ends = {}
    for precision in ("fp32", "bf16"):
        model = GPT(shape, seed=1).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
        losses = []
        for step in range(1000):
            rows = tokens[step % 16 * 4 : step % 16 * 4 + 4]
            parts = [MicroBatch(rows[:, :-1], rows[:, 1:])]
            losses.append(
                train_step(model, optimizer, parts, gradient_clip=1.0, precision=precision, seed=0, step=step).loss
            )
        assert {one.dtype for one in model.parameters()} == {torch.float32}
        moments = [value for state in optimizer.state.values() for value in state.values() if value.ndim]
        assert {one.dtype for one in moments} == {torch.float32}
        ends[precision] = sum(losses[-64:]) / 64
        assert ends[precision] < losses[0] - 0.5
    assert ends["bf16"] == pytest.approx(ends["fp32"], rel=0.02)
