"""Linear and embedding layers with their weights left unset: the model sets all weights itself, from its own seed.

The constructors of `nn.Linear` and `nn.Embedding` would first fill them from PyTorch's global random generator.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["empty_embedding", "empty_linear"]


def empty_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer with bias, weights unset."""
    return nn.utils.skip_init(nn.Linear, inputs, outputs, device=torch.get_default_device())  # type: ignore[no-any-return, no-untyped-call]


def empty_embedding(rows: int, width: int) -> nn.Embedding:
    """An embedding, weights unset."""
    return nn.utils.skip_init(nn.Embedding, rows, width, device=torch.get_default_device())  # type: ignore[no-any-return, no-untyped-call]
