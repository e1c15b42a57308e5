"""A table of hardware that is easy to work out by hand, and jobs on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.configs.model import ModelConfig
from schemas.configs.train import TrainConfig
from training.planner.hardware import HardwareTable, read_hardware
from training.planner.plan import Job


@pytest.fixture(scope="session")
def table() -> HardwareTable:
    """The shipped table."""
    return read_hardware()


@pytest.fixture(scope="session")
def job() -> Callable[..., Job]:
    """A job of a preset, with settings changed."""

    def make(preset: str = "gpt3-125m", tokens: float = 300e9, **settings: Any) -> Job:
        config = TrainConfig(preset=preset, **settings)
        model = ModelConfig(vocabulary_size=50_257, **config.model.model_dump())
        return Job(name=preset, model=model, tokens=int(tokens), config=config)

    return make
