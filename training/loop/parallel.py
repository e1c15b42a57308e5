"""One model over many ranks: whole copies with PyTorch's DDP, or shards with FSDP2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from schemas.configs.model import ModelConfig
from schemas.configs.train import TrainConfig
from training.model.block import Block
from training.model.gpt import GPT
from training.process_group import Ranks

__all__ = ["Trainee", "build_trainee", "gradients_shared", "is_sharded"]

# Weights, gradient and Adam's two moments in float32.
_BYTES_A_PARAMETER = 16
_SHARE_OF_MEMORY = 0.4


@dataclass(frozen=True)
class Trainee:
    """A model that is trained: `gpt` has the parameters, `model` is what a training step calls."""

    gpt: GPT
    model: nn.Module


def is_sharded(config: TrainConfig, shape: ModelConfig, ranks: Ranks) -> bool:
    """Whether weights and optimizer state are spread over the ranks."""
    if ranks.size == 1 or config.parallel != "auto":
        return ranks.size > 1 and config.parallel == "fsdp"
    if ranks.device.type == "cpu":
        return False
    memory = torch.cuda.get_device_properties(ranks.device).total_memory
    return shape.num_parameters() * _BYTES_A_PARAMETER > _SHARE_OF_MEMORY * memory


def build_trainee(config: TrainConfig, shape: ModelConfig, ranks: Ranks) -> Trainee:
    """A fresh model in train mode, spread over the ranks as `config` says; the same weights for any number of them."""
    sharded = is_sharded(config, shape, ranks)
    gpt = GPT(shape, config.seed, "meta" if sharded else "cpu")
    gpt = (_shards(gpt, config.seed, ranks) if sharded else gpt.to(ranks.device)).train()
    model = gpt if sharded or ranks.size == 1 else _copies(gpt, ranks)
    for block in gpt.blocks:
        assert isinstance(block, Block)
        block.recompute = config.recompute
        if config.compile:
            block.compile_training()
    return Trainee(gpt, model)


def _shards(gpt: GPT, seed: int, ranks: Ranks) -> GPT:
    """The model with a part of each weight on each rank; blocks are gathered one at a time."""
    mesh = init_device_mesh(ranks.device.type, (ranks.size,))
    for block in gpt.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(gpt, mesh=mesh)
    gpt.to_empty(device=ranks.device)
    gpt.initialize(seed)
    return gpt


def _copies(gpt: GPT, ranks: Ranks) -> nn.Module:
    """DDP, past the point at which it puts its buckets in their final order.

    It does so after the first backward pass. Sums over four ranks depend on where in a bucket a gradient lies, so a
    run that goes on would not do as one that was never stopped.
    """
    devices = [ranks.device.index] if ranks.device.type == "cuda" else None
    model = DistributedDataParallel(gpt, device_ids=devices, gradient_as_bucket_view=True)
    tokens_BT = torch.zeros(1, 2, dtype=torch.int64, device=ranks.device)
    for _ in range(2):
        with torch.random.fork_rng([ranks.device] if devices else []):
            model(tokens_BT, labels_BT=tokens_BT).backward()
    gpt.zero_grad(set_to_none=True)
    return model


@contextmanager
def gradients_shared(model: nn.Module, shared: bool) -> Iterator[None]:
    """Whether backward passes in the body add up gradients over the ranks, or keep them for a later one that does."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(shared)
        yield
    elif isinstance(model, DistributedDataParallel) and not shared:
        with model.no_sync():
            yield
    else:
        yield
