"""One transformer block of GPT-2 and GPT-3: LayerNorm before each part, GELU in the perceptron.

Shape legend: see `training.model.attention`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask

from schemas.configs.model import ModelShape
from training.model.attention import Attention
from training.model.cache import LayerCache
from training.model.layers import empty_linear
from training.model.recompute import Recompute, recomputed

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
        self.recompute: Recompute = "none"
        self._compute: Callable[..., Tensor] = self._plainly

    def compile_training(self) -> None:
        """Let training steps run as compiled code; validation and generation, whose shapes vary, stay as they are."""
        self._compute = torch.compile(self._plainly)

    def forward(
        self,
        x_BTD: Tensor,
        cache: LayerCache | None = None,
        documents_BT: Tensor | None = None,
        mask: BlockMask | None = None,
    ) -> Tensor:
        """The residual stream after this block, (B, T, D); see `Attention.forward`."""
        if cache is not None or not (self.training and torch.is_grad_enabled()):
            return self._add(x_BTD, cache, documents_BT, mask)
        return self._compute(x_BTD, documents_BT, mask)

    def _plainly(self, x_BTD: Tensor, documents_BT: Tensor | None, mask: BlockMask | None) -> Tensor:
        return recomputed(self.recompute, self._add, x_BTD, None, documents_BT, mask)

    def _add(
        self, x_BTD: Tensor, cache: LayerCache | None, documents_BT: Tensor | None, mask: BlockMask | None
    ) -> Tensor:
        x_BTD = x_BTD + self.dropout(self.attention(self.attention_norm(x_BTD), cache, documents_BT, mask))
        return x_BTD + self.dropout(self.perceptron(self.perceptron_norm(x_BTD)))  # type: ignore[no-any-return]
