"""Floating-point operations of training, a multiplication and an addition counted as two.

Matrix products alone are counted, forward once and backward twice. Of attention there are two conventions in use, and
a utilization means little without saying which: `full` counts the whole context for every query of every layer, as
most published figures do; `window` counts for a banded layer only its band. Neither halves for the causal mask.
`6nd` is the short form of Kaplan et al. 2020 and of Brown et al. 2020, appendix D: six a parameter and token.
"""

from __future__ import annotations

from typing import Literal

from schemas.configs.model import ModelConfig

__all__ = ["Convention", "flops_per_token", "matrix_parameters"]

Convention = Literal["6nd", "full", "window"]


def matrix_parameters(model: ModelConfig) -> int:
    """Parameters that take part in matrix products: attention 4D² and perceptron 8D² a layer, and the output matrix.

    The output matrix is tied to the embedding; looking up a row is no product, so it counts once.
    """
    return 12 * model.layers * model.width**2 + model.vocabulary_size * model.width


def flops_per_token(model: ModelConfig, convention: Convention) -> int:
    """Operations of one token of training, forward and backward."""
    if convention == "6nd":
        return 6 * model.num_parameters()
    bands = [model.band_of_layer(layer) for layer in range(model.layers)]
    seen = sum(model.context if band is None or convention == "full" else band for band in bands)
    # A query meets `seen` keys and mixes as many values: 2 + 2 operations a feature, forward; three times that in all.
    return 6 * matrix_parameters(model) + 12 * model.width * seen
