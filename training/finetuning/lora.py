"""LoRA: frozen weights with a trained product of two thin matrices beside each (Hu et al. 2021, section 4.1).

    y = W x + b + (alpha / rank) · B A x        A (rank, inputs), B (outputs, rank)

B begins as zeros, so that the model begins as the one it was. Merging adds (alpha / rank) · B A to W once and for all.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.configs.finetune import LoraSettings
from training.model.gpt import GPT
from training.model.layers import empty_linear

__all__ = ["LowRankLinear", "adapters_of", "add_adapters", "merge_adapters"]


class LowRankLinear(nn.Linear):
    """A linear layer, its own weights frozen, with a low-rank matrix added to them.

    It takes over the tensors of `frozen` under their names, so that a checkpoint of the one fits the other.
    """

    def __init__(self, frozen: nn.Linear, settings: LoraSettings, generator: torch.Generator) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = frozen.in_features, frozen.out_features
        self.weight, self.bias = frozen.weight, frozen.bias
        self.scale = settings.alpha / settings.rank
        self.dropout = nn.Dropout(settings.dropout)
        drawn = torch.empty(settings.rank, self.in_features).normal_(
            std=1 / math.sqrt(self.in_features), generator=generator
        )
        self.lora_a = nn.Parameter(drawn.to(self.weight.device))
        self.lora_b = nn.Parameter(self.weight.new_zeros(self.out_features, settings.rank))

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) to (…, outputs)."""
        low = functional.linear(functional.linear(self.dropout(x), self.lora_a), self.lora_b)
        return functional.linear(x, self.weight, self.bias) + self.scale * low

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The same function as a plain layer; its weights are new, those of the base stay as they are."""
        with self.weight.device:
            plain = empty_linear(self.in_features, self.out_features)
        plain.weight.copy_(self.weight + self.scale * (self.lora_b @ self.lora_a))
        plain.bias.copy_(self.bias)
        return plain


def adapters_of(model: nn.Module) -> dict[str, LowRankLinear]:
    """The layers that have an adapter, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LowRankLinear)}


def add_adapters(model: GPT, settings: LoraSettings, seed: int) -> None:
    """Freeze a model and put adapters beside the layers that `settings` names, in place.

    Args:
        model: without adapters.
        settings: rank, scale and layers.
        seed: of the first matrices.
    """
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and name.endswith(settings.targets):
            model.set_submodule(name, LowRankLinear(module, settings, generator))


def merge_adapters(model: GPT) -> None:
    """Put a plain layer in place of each adapted one, and let all weights be trained again, in place."""
    for name, module in adapters_of(model).items():
        model.set_submodule(name, module.merged())
    model.requires_grad_(True)
