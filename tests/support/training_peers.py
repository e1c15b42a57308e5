"""Models that training is compared with, under one face: ours, nanoGPT's way written anew, and `transformers`' GPT-2.

Each takes optimizer steps on random tokens: forward, loss, backward, clipping to 1, AdamW. "As it ships" is how each
one's own training code sets it up; what is set equal for all is said by the caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.configs.model import ModelConfig
from schemas.configs.train import TrainConfig
from training.hardware import matrix_precision
from training.loop.optimizer import build_optimizer
from training.loop.step import MicroBatch, train_step
from training.model.block import Block
from training.model.gpt import GPT

Step = Callable[[Tensor], float]  # (B, T + 1) token ids, gives the loss


def ours(model: ModelConfig, precision: str, device: torch.device, compiled: bool) -> Step:
    """Our model and training step."""
    shape = model.model_dump(exclude={"vocabulary_size"})
    settings = TrainConfig(model=shape, precision=precision)
    gpt = GPT(model).to(device).train()
    for block in gpt.blocks if compiled else ():
        assert isinstance(block, Block)
        block.compile_training()
    optimizer, taken = build_optimizer(gpt, settings), [0]

    def step(tokens: Tensor) -> float:
        taken[0] += 1
        batch = [MicroBatch(tokens[:, :-1], tokens[:, 1:])]
        return train_step(
            gpt,
            optimizer,
            batch,
            gradient_clip=1.0,
            precision=precision,
            seed=0,
            step=taken[0],
            tokens=tokens[:, 1:].numel(),
        ).loss

    return step


class _PlainBlock(nn.Module):
    def __init__(self, width: int, heads: int, gelu: str) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down, self.gelu = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), nn.GELU(gelu)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.qkv(self.norms[0](x)).split(width, dim=2)
        q, k, v = (one.view(batch, length, self.heads, -1).transpose(1, 2) for one in parts)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).contiguous().view(batch, length, width))
        return x + self.down(self.gelu(self.up(self.norms[1](x))))


class _PlainGPT(nn.Module):
    def __init__(self, model: ModelConfig, gelu: str) -> None:
        super().__init__()
        self.tokens = nn.Embedding(model.vocabulary_size, model.width)
        self.positions = nn.Embedding(model.context, model.width)
        self.blocks = nn.ModuleList(_PlainBlock(model.width, model.heads, gelu) for _ in range(model.layers))
        self.norm = nn.LayerNorm(model.width)
        self.head = nn.Linear(model.width, model.vocabulary_size, bias=False)
        self.head.weight = self.tokens.weight
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02, generator=torch.Generator().manual_seed(len(weight)))

    def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        x = self.tokens(inputs) + self.positions(torch.arange(inputs.shape[1], device=inputs.device))
        for block in self.blocks:
            x = block(x)
        return functional.cross_entropy(self.head(self.norm(x)).flatten(0, 1), labels.flatten())


def _autocast_step(
    forward: Callable[[Tensor, Tensor], Tensor], net: nn.Module, precision: str, device: torch.device, fused: bool
) -> Step:
    groups = [
        {"params": [p for p in net.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in net.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=6e-4, betas=(0.9, 0.95), fused=fused)

    def step(tokens: Tensor) -> float:
        with matrix_precision(precision, device):
            loss = forward(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.item())

    return step


def plain(model: ModelConfig, precision: str, device: torch.device, compiled: bool, equal: bool) -> Step:
    """The way of nanoGPT: one fused attention call a layer, all logits at once.

    As it ships it takes the exact GELU, which costs half of GPT-2's on a CPU, and leaves AdamW unfused there.
    """
    net = _PlainGPT(model, "tanh" if equal else "none").to(device).train()
    forward: Any = torch.compile(net) if compiled else net
    return _autocast_step(forward, net, precision, device, equal)


def hugging_face(model: ModelConfig, precision: str, device: torch.device, compiled: bool, equal: bool) -> Step:
    """GPT-2 of `transformers`, with its own loss."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=model.vocabulary_size,
        n_positions=model.context,
        n_embd=model.width,
        n_layer=model.layers,
        n_head=model.heads,
        attn_pdrop=0.0,
        embd_pdrop=0.0,
        resid_pdrop=0.0,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    net = GPT2LMHeadModel(config).to(device).train()

    def forward(inputs: Tensor, labels: Tensor) -> Tensor:
        logits = net(inputs).logits
        return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())

    return _autocast_step(torch.compile(forward) if compiled else forward, net, precision, device, equal)


def make(name: str, model: ModelConfig, precision: str, device: torch.device, compiled: bool, equal: bool) -> Step:
    """A contestant by name: `corpusmill`, `nanoGPT's way` or `transformers`, these set equal with ours or not."""
    if name == "corpusmill":
        return ours(model, precision, device, compiled)
    return {"nanoGPT's way": plain, "transformers": hugging_face}[name](model, precision, device, compiled, equal)


def first_loss(model: ModelConfig) -> float:
    """About what a fresh model has: the logarithm of the vocabulary."""
    return math.log(model.vocabulary_size)
