from __future__ import annotations

import pytest

from schemas.configs.model import ModelConfig
from schemas.configs.presets import PRESETS
from training.planner.flops import flops_per_token, matrix_parameters

# Brown et al. 2020, table D.1: parameters in millions, and operations of training on 300 billion tokens.
TABLE_D1 = {
    "gpt3-125m": (125, 2.25e20),
    "gpt3-350m": (356, 6.41e20),
    "gpt3-760m": (760, 1.37e21),
    "gpt3-1.3b": (1_320, 2.38e21),
    "gpt3-2.7b": (2_650, 4.77e21),
    "gpt3-6.7b": (6_660, 1.20e22),
    "gpt3-13b": (12_850, 2.31e22),
    "gpt3-175b": (174_600, 3.14e23),
}


def model(name: str) -> ModelConfig:
    return ModelConfig(vocabulary_size=50_257, **PRESETS[name]["model"])


@pytest.mark.parametrize("name", TABLE_D1)
def test_sizes_and_operations_are_those_of_the_paper(name: str) -> None:
    millions, operations = TABLE_D1[name]
    assert model(name).num_parameters() / 1e6 == pytest.approx(millions, rel=0.0035)
    assert flops_per_token(model(name), "6nd") * 300e9 == pytest.approx(operations, rel=0.006)


def test_the_exact_form_counts_every_matrix_product_once() -> None:
    small = ModelConfig(vocabulary_size=11, context=8, layers=3, heads=2, width=8, band=2)
    layer = 8 * 24 + 8 * 8 + 8 * 32 + 32 * 8  # qkv, projection, and the two of the perceptron
    assert matrix_parameters(small) == 3 * layer + 11 * 8
    # A multiplication and an addition each for scores and for mixing, forward once and backward twice.
    attention = {"full": 8 + 8 + 8, "window": 8 + 2 + 8}
    for convention, seen in attention.items():
        expected = 3 * (2 * (3 * layer + 88) + 2 * 2 * 8 * seen)
        assert flops_per_token(small, convention) == expected  # type: ignore[arg-type]


# Published comparisons at 2,048 positions: what banded layers save, and tokens a second at half of an H100's peak.
@pytest.mark.parametrize(
    ("name", "saved", "thousands"), [("gpt3-125m", 0.11, 511), ("gpt3-1.3b", 0.06, 54.5), ("gpt3-175b", 0.01, None)]
)
def test_bands_save_and_speeds_are_as_reference_figures_say(name: str, saved: float, thousands: float | None) -> None:
    full, window = flops_per_token(model(name), "full"), flops_per_token(model(name), "window")
    assert 1 - window / full == pytest.approx(saved, abs=0.008)
    if thousands is not None:
        assert 0.5 * 989e12 / full / 1e3 == pytest.approx(thousands, rel=0.002)


def test_a_dense_model_has_one_figure_for_both_conventions() -> None:
    dense = model("gpt2-124m")
    assert flops_per_token(dense, "full") == flops_per_token(dense, "window")
