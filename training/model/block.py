"""One transformer block of GPT-2 and GPT-3: LayerNorm before each part, GELU in the perceptron.

Shape legend: see `training.model.attention`.
"""

from __future__ import annotations

from torch import Tensor, nn

from schemas.configs.model import ModelShape
from training.model.attention import Attention
from training.model.cache import LayerCache
from training.model.layers import empty_linear

__all__ = ["Block", "Perceptron"]


class Perceptron(nn.Module):
    """Width to four times the width and back; GELU in its tanh form, which GPT-2's code uses."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.expand = empty_linear(shape.width, 4 * shape.width)
        self.activation = nn.GELU(approximate="tanh")
        self.projection = empty_linear(4 * shape.width, shape.width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """What the perceptron adds to the residual stream, (B, T, D)."""
        return self.projection(self.activation(self.expand(x_BTD)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention, then perceptron, each added to the residual stream."""

    def __init__(self, shape: ModelShape, layer: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(shape.width)
        self.attention = Attention(shape, shape.band_of_layer(layer))
        self.perceptron_norm = nn.LayerNorm(shape.width)
        self.perceptron = Perceptron(shape)
        self.dropout = nn.Dropout(shape.residual_dropout)

    def forward(self, x_BTD: Tensor, cache: LayerCache | None = None) -> Tensor:
        """The residual stream after this block, (B, T, D)."""
        x_BTD = x_BTD + self.dropout(self.attention(self.attention_norm(x_BTD), cache))
        return x_BTD + self.dropout(self.perceptron(self.perceptron_norm(x_BTD)))  # type: ignore[no-any-return]
