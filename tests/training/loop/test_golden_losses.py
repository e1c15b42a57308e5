"""The first ten losses of a run, against GPT-3 and AdamW written a second time, as plainly as possible."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from schemas.configs.model import ModelConfig
from schemas.configs.train import TrainConfig
from schemas.corpus_root import CorpusRoot
from training.data.batches import BatchReader
from training.data.shards import open_streams
from training.loop.prepare import PreparedRun
from training.loop.run_log import read_log
from training.loop.train import train
from training.model.gpt import GPT

Weights = dict[str, Tensor]
GOLDEN = [5.78806, 5.50388, 5.29111, 4.86917, 4.56832, 4.24254, 4.05535, 3.91097, 3.80116, 3.81131]


def norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: Tensor, weights: Weights, name: str) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def attention(x: Tensor, weights: Weights, name: str, heads: int, band: int | None) -> Tensor:
    length, width = x.shape[1:]
    queries, keys, values = linear(x, weights, f"{name}.qkv").split(width, dim=-1)
    size = width // heads
    mixed = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = queries[..., part] @ keys[..., part].transpose(1, 2) / math.sqrt(size)
        hidden = [[j > i or (band is not None and j <= i - band) for j in range(length)] for i in range(length)]
        mixed.append(scores.masked_fill(torch.tensor(hidden), -math.inf).softmax(-1) @ values[..., part])
    return linear(torch.cat(mixed, dim=-1), weights, f"{name}.projection")


def loss_of(tokens: Tensor, labels: Tensor, weights: Weights, config: ModelConfig) -> Tensor:
    x = weights["token_embedding.weight"][tokens] + weights["position_embedding.weight"][: tokens.shape[1]]
    for layer in range(config.layers):
        name, band = f"blocks.{layer}", config.band if layer % 2 else None
        x = x + attention(norm(x, weights, f"{name}.attention_norm"), weights, f"{name}.attention", config.heads, band)
        hidden = gelu(linear(norm(x, weights, f"{name}.perceptron_norm"), weights, f"{name}.perceptron.expand"))
        x = x + linear(hidden, weights, f"{name}.perceptron.projection")
    logits = norm(x, weights, "norm") @ weights["token_embedding.weight"][: config.vocabulary_size].T
    logs = logits - logits.exp().sum(-1, keepdim=True).log()
    return -logs.gather(-1, labels[..., None]).mean()


def train_plainly(
    weights: Weights, batches: list[tuple[Tensor, Tensor]], model: ModelConfig, config: TrainConfig
) -> list[float]:
    """Losses of one pass over `batches` by AdamW (Loshchilov and Hutter 2019, algorithm 2) with clipping."""
    weights = {name: value.clone().requires_grad_() for name, value in weights.items()}
    mean = {name: torch.zeros_like(value) for name, value in weights.items()}
    square = {name: torch.zeros_like(value) for name, value in weights.items()}
    total = sum(tokens.numel() for tokens, _ in batches)
    losses, seen = [], 0
    for step, (tokens, labels) in enumerate(batches, start=1):
        loss = loss_of(tokens, labels, weights, model)
        gradients = dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))
        size = math.sqrt(sum(float(g.double().square().sum()) for g in gradients.values()))
        seen += tokens.numel()
        done = (seen - config.warmup_tokens) / (total - config.warmup_tokens)
        rate = config.learning_rate * min(
            seen / config.warmup_tokens, 0.1 + 0.9 * (1 + math.cos(math.pi * max(0.0, done))) / 2
        )
        with torch.no_grad():
            for name, value in weights.items():
                gradient = gradients[name] * min(1.0, config.gradient_clip / size)
                mean[name] = config.beta1 * mean[name] + (1 - config.beta1) * gradient
                square[name] = config.beta2 * square[name] + (1 - config.beta2) * gradient**2
                if value.ndim == 2:
                    value.sub_(rate * config.weight_decay * value)
                change = mean[name] / (1 - config.beta1**step)
                value.sub_(rate * change / ((square[name] / (1 - config.beta2**step)).sqrt() + config.epsilon))
        losses.append(loss.item())
    return losses


def test_ten_losses_equal_those_of_a_plain_implementation(
    prepared: Callable[..., PreparedRun], corpus_root: CorpusRoot, run_folder: str
) -> None:
    run = prepared(micro_batch=3)
    train(run)
    found = [row["loss"] for row in read_log(run_folder, "metrics.jsonl")]

    reader = BatchReader(run.plan, open_streams(corpus_root, run.plan, "train"), run.config.seed)
    batches = [reader.take(8) for _ in range(10)]
    tensors = [(torch.from_numpy(batch.inputs), torch.from_numpy(batch.labels)) for batch in batches]
    weights = GPT(run.description.model, run.config.seed).state_dict()
    expected = train_plainly(weights, tensors, run.description.model, run.config)

    assert found == pytest.approx(expected, abs=2e-4)
    assert found[:3] == pytest.approx(expected[:3], abs=1e-5)
    # Frozen, so that a change of data order, weights or mathematics shows.
    assert found == pytest.approx(GOLDEN, abs=1e-3)
