"""Dropout's randomness as a pure function of (seed, step, row of the step), so that a resumed run draws the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from training.seeds import derived_seed

__all__ = ["dropout_randomness"]


@contextmanager
def dropout_randomness(seed: int, step: int, row: int, device: torch.device) -> Iterator[None]:
    """Let dropout inside the body draw from (seed, step, row).

    With `row` the first sequence of a micro-batch, counted in the whole step, ranks draw apart, and any number of them
    draw what one would with micro-batches of the same size.

    PyTorch's dropout takes no generator of its own; the global one is set for the body and put back after it.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(derived_seed("dropout", seed, step, row))
        if devices:
            torch.cuda.manual_seed(derived_seed("dropout", seed, step, row))
        yield
