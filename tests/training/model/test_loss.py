from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from schemas.configs.model import ModelConfig
from training.model.gpt import GPT
from training.model.loss import IGNORED_LABEL, chunked_loss, summed_loss

POSITIONS, WIDTH, VOCABULARY, ROWS = 37, 12, 50, 64


def example(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(POSITIONS, WIDTH, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(ROWS, WIDTH, generator=generator, dtype=dtype, requires_grad=True)
    labels = torch.randint(0, VOCABULARY, (POSITIONS,), generator=generator)
    labels[::5] = IGNORED_LABEL
    return hidden, weight, labels


def plain(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    return summed_loss(functional.linear(hidden, weight)[None, :, :VOCABULARY], labels[None])


@pytest.mark.parametrize("logits", [VOCABULARY, 7 * VOCABULARY, 10**6])
def test_in_chunks_of_any_size_loss_and_gradients_are_those_of_all_logits(logits: int) -> None:
    hidden, weight, labels = example()
    expected = plain(hidden, weight, labels)
    (expected / 7).backward()
    gradients = hidden.grad, weight.grad
    hidden.grad = weight.grad = None
    found = chunked_loss(hidden, weight, labels, VOCABULARY, logits)
    (found / 7).backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    for one, two in zip((hidden.grad, weight.grad), gradients, strict=True):
        assert one is not None
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-6)
    with torch.no_grad():
        assert chunked_loss(hidden, weight, labels, VOCABULARY, logits).item() == pytest.approx(
            expected.item(), rel=1e-6
        )


def test_rows_that_pad_the_vocabulary_change_nothing_and_learn_nothing() -> None:
    hidden, weight, labels = example()
    before = chunked_loss(hidden, weight, labels, VOCABULARY)
    before.backward()
    assert weight.grad is not None
    assert not weight.grad[VOCABULARY:].any()
    with torch.no_grad():
        weight[VOCABULARY:] = 1e6
    assert chunked_loss(hidden, weight, labels, VOCABULARY).item() == before.item()


def test_labels_that_are_all_ignored_give_zeros() -> None:
    hidden, weight, labels = example()
    loss = chunked_loss(hidden, weight, torch.full_like(labels, IGNORED_LABEL), VOCABULARY, 300)
    loss.backward()
    assert loss.item() == 0.0
    assert hidden.grad is not None
    assert weight.grad is not None
    assert not hidden.grad.any()
    assert not weight.grad.any()


def test_in_bfloat16_it_is_as_near_as_the_plain_loss_is() -> None:
    hidden, weight, labels = example()
    exact = plain(hidden, weight, labels).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = plain(hidden, weight, labels)
        chunked = chunked_loss(hidden, weight, labels, VOCABULARY, 300)
    assert low.item() != exact
    assert chunked.item() == pytest.approx(low.item(), rel=1e-6)
    low.backward()
    expected, weight.grad = weight.grad, None
    chunked.backward()
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
    torch.testing.assert_close(weight.grad, expected, rtol=0.02, atol=0.05)


def test_a_model_gives_the_loss_of_its_logits() -> None:
    model = GPT(ModelConfig(vocabulary_size=50, context=16, layers=2, heads=2, width=16, band=4), seed=1)
    tokens = torch.randint(0, 50, (3, 16), generator=torch.Generator().manual_seed(0))
    labels = tokens.roll(-1, dims=1)
    assert model(tokens, labels_BT=labels).item() == pytest.approx(summed_loss(model(tokens), labels).item(), rel=1e-6)


def test_summed_loss_of_half_precision_logits_is_float32() -> None:
    logits = torch.zeros(1, 2, 4, dtype=torch.bfloat16)
    loss = summed_loss(logits, torch.tensor([[1, IGNORED_LABEL]]))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log(4))
