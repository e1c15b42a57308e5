"""Settings of the mix stage."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from schemas.configs.base import StageConfig
from schemas.configs.split import NAME_PATTERN

__all__ = ["MixConfig"]


class MixConfig(StageConfig):
    """How the windows of the sources are mixed."""

    stage: ClassVar[str] = "mix"

    name: str | None = Field(
        None,
        pattern=NAME_PATTERN,
        title="Name",
        description="Name of the plan; empty: named after its content, so that other tokens give another name.",
    )
    tokenizer: str = Field("bpe", pattern=NAME_PATTERN, title="Tokenizer", description="Whose token shards to mix.")
    sequence_length: int = Field(
        2048, ge=1, le=2**20, title="Sequence length", description="Tokens of a window; the model's context."
    )
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        {},
        title="Weights",
        description="Share of samples by source, in any unit; sources left out get none. Empty: each by its size.",
    )
    samples: int | None = Field(
        None, ge=1, title="Samples", description="Windows to train on; empty: one epoch of all sources together."
    )
    seed: int = Field(0, ge=0, lt=2**63, title="Seed", description="Enters the order of the windows.")

    @field_validator("weights")
    @classmethod
    def _some_weight(cls, weights: dict[str, float]) -> dict[str, float]:
        if weights and sum(weights.values()) <= 0:
            raise ValueError("all weights are 0; give at least one source a positive weight")
        return weights
