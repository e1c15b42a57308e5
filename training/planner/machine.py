"""What the model would cost on this machine: parts of it are run for a moment, and a step is added up from them.

A step is so many micro-batches of (dense layers, banded layers, both ends of the model), then clipping and the
optimizer. One layer of each kind and the ends are trained alone on the rows of a micro-batch, as the loop trains them;
so the plan knows this machine's matrix units, memory and kernels without a table of them.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.configs.model import ModelConfig
from schemas.configs.train import TrainConfig
from training.hardware import has_bf16_instructions, matrix_precision
from training.loop.optimizer import build_optimizer
from training.model.block import Block
from training.model.loss import chunked_loss
from training.planner.memory import stored_parameters

__all__ = ["StepCost", "cores", "measure_step", "memory_of_machine", "number_bytes"]

# Rounds after one that warms up; the median of three is within a few percent on a quiet machine. A part that takes long
# is run once more and no oftener: what is large varies less.
_ROUNDS, _SECONDS = 3, 2.0
# Rows of a micro-batch are measured up to so many tokens at once; beyond, time grows with the tokens.
_TOKENS_AT_ONCE = 8192


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """Seconds of one step in its parts, for the whole batch."""

    dense_layers: float
    banded_layers: float
    ends: float
    optimizer: float
    tokens: int

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.dense_layers + self.banded_layers + self.ends + self.optimizer

    @property
    def tokens_per_second(self) -> float:
        """Tokens trained on in a second."""
        return self.tokens / self.seconds


class _Ends(nn.Module):
    """What stands before the first layer and after the last: embeddings, norm, tied output matrix."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Parameter(torch.zeros(config.padded_vocabulary, config.width))
        self.position_embedding = nn.Parameter(torch.zeros(config.context, config.width))
        self.norm = nn.LayerNorm(config.width)
        self.vocabulary = config.vocabulary_size

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """The summed loss of a model without layers, whose labels are its inputs."""
        x_BTD = functional.embedding(tokens_BT, self.token_embedding) + self.position_embedding[: tokens_BT.shape[1]]
        hidden_ND = self.norm(x_BTD).flatten(0, 1)
        return chunked_loss(hidden_ND, self.token_embedding, tokens_BT.flatten(), self.vocabulary)


def number_bytes(config: TrainConfig, device: torch.device) -> int:
    """Bytes of a number in matrix products, as `training.hardware.matrix_precision` has them."""
    native = device.type == "cuda" or has_bf16_instructions()
    return 4 if config.precision == "fp32" or (config.precision == "auto" and not native) else 2


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_of_machine() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Stopwatch:
    """Takes the time of parts of a model on one device."""

    def __init__(self, device: torch.device, clock: Callable[[], float]) -> None:
        self.device, self._clock = device, clock

    def _seconds(self, action: Callable[[], None]) -> float:
        _wait(self.device)
        began = self._clock()
        action()
        _wait(self.device)
        return self._clock() - began

    def median(self, action: Callable[[], None]) -> float:
        """Seconds of one action, the median of some after one that warms up."""
        self._seconds(action)
        taken: list[float] = []
        while len(taken) < _ROUNDS and sum(taken) < _SECONDS:
            taken.append(self._seconds(action))
        return statistics.median(taken)


def _layer(config: ModelConfig, layer: int, device: torch.device) -> Block:
    block = Block(config, layer)
    generator = torch.Generator().manual_seed(layer)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.02, generator=generator)
    return block.to(device).train()


def _layer_seconds(block: Block, config: ModelConfig, rows: int, precision: str, watch: _Stopwatch) -> float:
    generator = torch.Generator().manual_seed(0)
    x_BTD = torch.randn(rows, config.context, config.width, generator=generator).to(watch.device)

    def train() -> None:
        block.zero_grad(set_to_none=True)
        given = x_BTD.detach().requires_grad_()
        with matrix_precision(precision, watch.device):
            out = block(given)
        out.backward(x_BTD)

    return watch.median(train)


def _ends_seconds(ends: _Ends, config: ModelConfig, rows: int, precision: str, watch: _Stopwatch) -> float:
    shape, generator = (rows, config.context), torch.Generator().manual_seed(0)
    tokens_BT = torch.randint(0, config.vocabulary_size, shape, generator=generator).to(watch.device)

    def train() -> None:
        ends.zero_grad(set_to_none=True)
        with matrix_precision(precision, watch.device):
            loss = ends(tokens_BT)
        (loss / tokens_BT.numel()).backward()

    return watch.median(train)


def _optimizer_seconds(parts: nn.Module, settings: TrainConfig, parameters: int, watch: _Stopwatch) -> float:
    """Clipping and the optimizer, for so many parameters at the rate of those in `parts`, which have gradients."""
    optimizer = build_optimizer(parts, settings)
    there = sum(parameter.numel() for parameter in parts.parameters())

    def update() -> None:
        nn.utils.clip_grad_norm_(parts.parameters(), settings.gradient_clip).item()
        optimizer.step()

    return watch.median(update) * parameters / there


def measure_step(
    config: ModelConfig,
    settings: TrainConfig,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> StepCost:
    """What a step would take on this machine; nothing of a run is changed by it.

    Args:
        config: the model.
        settings: batch, micro-batch, precision and optimizer.
        device: where.
        clock: gives seconds; `time.process_time` says what one thread takes whatever else runs.
    """
    watch = _Stopwatch(device, clock)
    rows = max(1, min(settings.micro_batch or settings.batch, _TOKENS_AT_ONCE // config.context))
    times, precision = settings.batch / rows, settings.precision
    banded_layers = sum(config.band_of_layer(layer) is not None for layer in range(config.layers))
    block, ends = _layer(config, 0, device), _Ends(config).to(device)
    dense = _layer_seconds(block, config, rows, precision, watch)
    banded = _layer_seconds(_layer(config, 1, device), config, rows, precision, watch) if banded_layers else 0.0
    of_ends = _ends_seconds(ends, config, rows, precision, watch)
    return StepCost(
        dense_layers=times * dense * (config.layers - banded_layers),
        banded_layers=times * banded * banded_layers,
        ends=times * of_ends,
        optimizer=_optimizer_seconds(nn.ModuleList([block, ends]), settings, stored_parameters(config), watch),
        tokens=settings.batch * config.context,
    )
