from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from schemas.configs.model import ModelConfig
from training.model.attention import Attention, banded_attention, dense_attention, masked_attention, visible
from training.model.cache import LayerCache


def random_qkv(batch: int, heads: int, length: int, features: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, heads, length, features)
    return [torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(3)]


def one_by_one(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, band: int | None) -> torch.Tensor:
    """Attention written as its definition, query by query."""
    rows = []
    for i in range(q.shape[2]):
        first = 0 if band is None else max(0, i - band + 1)
        scores = (k[:, :, first : i + 1] * q[:, :, i : i + 1]).sum(-1) / math.sqrt(q.shape[3])
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        rows.append((weights[..., None] * v[:, :, first : i + 1]).sum(2))
    return torch.stack(rows, dim=2)


def outputs_and_gradients(function, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    for tensor in tensors:
        tensor.grad = None
    out = function(*tensors)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    (out * weights).sum().backward()
    return [out, *(tensor.grad for tensor in tensors)]


@settings(max_examples=25)
@given(length=st.integers(1, 40), band=st.integers(1, 12), seed=st.integers(0, 99))
def test_banded_attention_agrees_with_its_definition_forward_and_backward(length: int, band: int, seed: int) -> None:
    tensors = random_qkv(2, 2, length, 4, seed)
    expected = outputs_and_gradients(lambda q, k, v: one_by_one(q, k, v, band), tensors)
    found = outputs_and_gradients(lambda q, k, v: banded_attention(q, k, v, band, 0.0), tensors)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@settings(max_examples=20)
@given(length=st.integers(1, 40), band=st.integers(1, 12), seed=st.integers(0, 99))
def test_the_mask_path_agrees_with_the_banded_path_forward_and_backward(length: int, band: int, seed: int) -> None:
    tensors = random_qkv(1, 2, length, 4, seed)
    positions = torch.arange(length)
    mask = visible(positions, positions, band)
    expected = outputs_and_gradients(lambda q, k, v: masked_attention(q, k, v, mask, 0.0), tensors)
    found = outputs_and_gradients(lambda q, k, v: banded_attention(q, k, v, band, 0.0), tensors)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("length", [1, 7, 512, 513])
def test_dense_attention_agrees_with_pytorch_on_both_sides_of_the_length_where_the_path_changes(length: int) -> None:
    tensors = random_qkv(1, 1, length, 4, 0)
    expected = outputs_and_gradients(
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, is_causal=True), tensors
    )
    found = outputs_and_gradients(lambda q, k, v: dense_attention(q, k, v, 0.0), tensors)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_a_query_sees_itself_and_the_band_before_it() -> None:
    positions = torch.arange(6)
    seen = visible(positions, positions, 3)
    assert [seen[5].tolist(), seen[1].tolist()] == [
        [False, False, False, True, True, True],
        [True, True, False, False, False, False],
    ]


def test_dropout_drops_weights_and_keeps_their_mean() -> None:
    q, k, _ = (x.detach() for x in random_qkv(1, 1, 200, 4, 0))
    ones = torch.ones(1, 1, 200, 4, dtype=torch.float64)
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(0)
        dropped = banded_attention(q, k, ones, 50, 0.5)
    assert dropped.std() > 0.05
    assert abs(dropped.mean().item() - 1) < 0.1


@pytest.mark.parametrize("band", [None, 1, 3, 8])
def test_a_cache_filled_in_any_pieces_gives_what_one_pass_gives(band: int | None) -> None:
    config = ModelConfig(vocabulary_size=10, context=64, heads=2, width=8, band=16)
    attention = Attention(config, band).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    x = torch.randn(2, 20, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        whole = attention(x)
        for pieces in ([20], [1] * 20, [5, 1, 7, 7], [19, 1]):
            cache = LayerCache(band)
            parts = [attention(part, cache) for part in torch.split(x, pieces, dim=1)]
            torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-10, atol=1e-12)
            assert cache.length == 20


def test_a_banded_layer_caches_only_what_a_later_query_can_see() -> None:
    cache = LayerCache(4)
    x = torch.zeros(1, 1, 10, 2)
    cache.extend(x, x)
    keys, _, positions = cache.extend(x[:, :, :1], x[:, :, :1])
    assert keys.shape[2] == 4
    assert positions.tolist() == [7, 8, 9, 10]
