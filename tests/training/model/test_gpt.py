from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from schemas.configs.model import ModelConfig, ModelShape
from schemas.configs.presets import PRESETS
from training.model.cache import KeyValueCache
from training.model.gpt import GPT

SMALL = ModelConfig(vocabulary_size=100, context=64, layers=4, heads=4, width=32, band=8)


def count(model: GPT) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def tokens(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 100, (batch, length), generator=torch.Generator().manual_seed(seed))


def test_gpt2_small_has_its_published_parameters_and_the_embedding_counts_once() -> None:
    config = ModelConfig(vocabulary_size=50_257, context=1024, sparse=False)
    assert config.num_parameters() == 124_439_808
    assert count(GPT(config)) - (config.padded_vocabulary - 50_257) * 768 == 124_439_808


# Brown et al. 2020, table 2.1, where the column says the size in millions or billions; our own deviations included.
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("gpt3-125m", 125e6),
        ("gpt3-350m", 356e6),
        ("gpt3-760m", 760e6),
        ("gpt3-1.3b", 1.3e9),
        ("gpt3-2.7b", 2.65e9),
        ("gpt3-6.7b", 6.7e9),
        ("gpt3-13b", 13e9),
        ("gpt3-175b", 174.6e9),
    ],
)
def test_presets_have_the_published_sizes(name: str, parameters: float) -> None:
    config = ModelConfig(vocabulary_size=50_257, **PRESETS[name]["model"])
    assert config.num_parameters() == pytest.approx(parameters, rel=0.015)


def test_initial_weights_have_the_stated_spread_and_residual_projections_are_scaled() -> None:
    config = ModelConfig(vocabulary_size=1000, context=256, layers=8, heads=4, width=256, band=64)
    for name, parameter in GPT(config, seed=3).named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        else:
            expected = 0.02 / math.sqrt(16) if "projection" in name else 0.02
            assert parameter.std().item() == pytest.approx(expected, rel=0.02), name
            assert abs(parameter.mean().item()) < 0.001, name


def test_weights_depend_on_the_seed_alone() -> None:
    torch.rand(5)
    first, again, other = GPT(SMALL, 1), GPT(SMALL, 1), GPT(SMALL, 2)
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_layers_alternate_between_dense_and_banded() -> None:
    assert [block.attention.band for block in GPT(SMALL).blocks] == [None, 8, None, 8]
    dense = SMALL.model_copy(update={"sparse": False})
    assert [block.attention.band for block in GPT(dense).blocks] == [None] * 4


def test_padding_the_vocabulary_changes_neither_logits_nor_loss() -> None:
    model = GPT(SMALL).eval()
    assert model.token_embedding.weight.shape[0] == 128
    inputs = tokens(2, 10)
    with torch.no_grad():
        before = model(inputs)
        model.token_embedding.weight[100:] = 1e6
        after = model(inputs)
    assert before.shape == (2, 10, 100)
    assert torch.equal(before, after)


def test_a_position_sees_nothing_after_it() -> None:
    model, inputs = GPT(SMALL).eval(), tokens(1, 40)
    changed = inputs.clone()
    changed[0, 25] = (changed[0, 25] + 1) % 100
    with torch.no_grad():
        assert torch.equal(model(inputs)[:, :25], model(changed)[:, :25])
        assert not torch.equal(model(inputs)[:, 25:], model(changed)[:, 25:])


@pytest.mark.parametrize("length", [5, 63])
def test_generation_with_a_cache_gives_the_logits_of_one_pass(length: int) -> None:
    model = GPT(SMALL).double().eval()
    inputs = tokens(2, length)
    with torch.no_grad():
        whole = model(inputs)
        cache = KeyValueCache(SMALL)
        parts = [model(inputs[:, :3], cache), *(model(inputs[:, i : i + 1], cache) for i in range(3, length))]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-9, atol=1e-10)


def test_too_many_positions_are_refused() -> None:
    model, cache = GPT(SMALL).eval(), KeyValueCache(SMALL)
    model(tokens(1, 60), cache)
    with pytest.raises(ValueError, match="65 positions do not fit in a context of 64"):
        model(tokens(1, 5), cache)


def test_dropout_acts_in_training_only() -> None:
    config = SMALL.model_copy(update={"embedding_dropout": 0.2, "attention_dropout": 0.2, "residual_dropout": 0.2})
    model, inputs = GPT(config), tokens(1, 20)
    assert not torch.equal(model.train()(inputs), model(inputs))
    assert torch.equal(model.eval()(inputs), model(inputs))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 100, "heads": 12}, "width 100 is not a multiple of heads 12; change one of them"),
        ({"context": 128, "band": 64}, "band 64 is over a quarter of the context 128; set band to 32 or less"),
        ({"layers": 0}, "greater than or equal to 1"),
        ({"depth": 2}, "Extra inputs are not permitted"),
    ],
)
def test_shapes_that_cannot_be_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelShape.model_validate(values)
