from __future__ import annotations

import pytest
import torch

from schemas.configs.model import ModelConfig
from schemas.configs.train import TrainConfig
from training.loop.optimizer import build_optimizer, parameter_groups
from training.model.gpt import GPT

SHAPE = ModelConfig(vocabulary_size=50, context=16, layers=1, heads=2, width=8, band=4)


def test_matrices_decay_and_biases_and_norms_do_not() -> None:
    model = GPT(SHAPE)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, others = parameter_groups(model, 0.3)
    assert [names[id(p)] for p in decayed["params"]] == [
        "token_embedding.weight",
        "position_embedding.weight",
        "blocks.0.attention.qkv.weight",
        "blocks.0.attention.projection.weight",
        "blocks.0.perceptron.expand.weight",
        "blocks.0.perceptron.projection.weight",
    ]
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    assert len(decayed["params"]) + len(others["params"]) == len(names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # By hand, one step on w=2 with gradient 1: rate 0.5, decay 0.1, beta 0.9 and 0.95.
        ("adamw", 2 * (1 - 0.5 * 0.1) - 0.5),  # first step of Adam is rate · sign of the gradient
        ("adam", 2 - 0.5),
        ("sgd", 2 - 0.5 * (1 + 0.1 * 2)),
    ],
)
def test_each_optimizer_takes_its_own_first_step(name: str, expected: float) -> None:
    config = TrainConfig.model_validate({"optimizer": name, "learning_rate": 0.5, "weight_decay": 0.1})
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 2.0)
    optimizer = build_optimizer(model, config)
    model.weight.grad = torch.ones(1, 1)
    optimizer.step()
    assert model.weight.item() == pytest.approx(expected, abs=1e-6)
