from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.configs.model import ModelConfig
from schemas.configs.presets import PRESETS
from schemas.configs.train import TrainConfig

GOLDEN = json.loads(Path(__file__).with_name("preset_parameters.json").read_text())


@pytest.mark.parametrize("name", PRESETS)
def test_parameter_counts_are_golden(name: str) -> None:
    config = TrainConfig(preset=name)
    assert ModelConfig(vocabulary_size=50_257, **config.model.model_dump()).num_parameters() == GOLDEN[name]


def test_every_golden_count_has_its_preset() -> None:
    assert GOLDEN.keys() == PRESETS.keys()


# Radford et al. 2019, table 2 (layers and width); heads of 64 features, as the released models have them.
@pytest.mark.parametrize(
    ("name", "layers", "width"),
    [("gpt2-124m", 12, 768), ("gpt2-355m", 24, 1024), ("gpt2-774m", 36, 1280), ("gpt2-1.5b", 48, 1600)],
)
def test_gpt2_is_dense_with_1024_positions(name: str, layers: int, width: int) -> None:
    shape = TrainConfig(preset=name).model
    assert (shape.layers, shape.width, shape.head_width) == (layers, width, 64)
    assert (shape.context, shape.sparse, shape.attention_dropout) == (1024, False, 0.1)


def test_every_gpt3_preset_has_2048_positions_and_bands() -> None:
    shapes = [TrainConfig(preset=name).model for name in PRESETS if name.startswith("gpt3-")]
    assert {(shape.context, shape.sparse, shape.band) for shape in shapes} == {(2048, True, 256)}
