"""The optimizer of a run."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from schemas.configs.train import TrainConfig

__all__ = ["build_optimizer", "parameter_groups"]


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: matrices, which decay, then biases and LayerNorm gains, which do not; frozen ones are in neither."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer that `config` names; the loop sets its learning rate at every step."""
    groups = parameter_groups(model, config.weight_decay)
    if config.optimizer == "sgd":
        # PyTorch has no fused SGD for shards.
        fused = not any(isinstance(parameter, DTensor) for parameter in model.parameters())
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.beta1, fused=fused)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    betas = (config.beta1, config.beta2)
    return kind(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon, fused=True)
