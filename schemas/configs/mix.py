"""Settings of the mix stage."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from schemas.configs.base import StageConfig
from schemas.configs.mixture_presets import MIXTURE_PRESETS
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
    preset: Literal["gpt3"] | None = Field(
        None,
        title="Preset",
        description="Published weights instead: gpt3 has rows common_crawl, webtext2, books1, books2 and wikipedia, "
        "60, 22, 8, 8 and 3 of 101.",
    )
    preset_sources: dict[str, str] = Field(
        {},
        title="Sources of the preset",
        description="Which source stands for which row of the preset; a row that is not named here is a source of its "
        "own name. Rows without a source in the corpus are left out and the others normalized.",
    )
    max_copies: int | None = Field(
        None,
        ge=1,
        title="Copies that count",
        description="Without weights: a source counts as if each of its documents were there as often as it was found "
        "before deduplication, but at most so many times. Empty: once.",
    )
    samples: int | None = Field(
        None, ge=1, title="Samples", description="Windows to train on; empty: one epoch of all sources together."
    )
    tokens: int | None = Field(
        None, ge=1, title="Tokens", description="The same in tokens; whole windows of it are planned."
    )
    extends: str | None = Field(
        None,
        pattern=NAME_PATTERN,
        title="Goes on from",
        description="A plan on which a run has been trained. The new plan begins with its samples and goes on with the "
        "windows not yet seen and those that came since, each source by what remains of it.",
    )
    after: int | None = Field(
        None, ge=0, title="After", description="Samples of that plan that were trained on; empty: all of them."
    )
    seed: int = Field(0, ge=0, lt=2**63, title="Seed", description="Enters the order of the windows.")

    @field_validator("weights")
    @classmethod
    def _some_weight(cls, weights: dict[str, float]) -> dict[str, float]:
        if weights and sum(weights.values()) <= 0:
            raise ValueError("all weights are 0; give at least one source a positive weight")
        return weights

    @model_validator(mode="after")
    def _fields_that_go_together(self) -> MixConfig:
        if sum([bool(self.weights), self.preset is not None, self.max_copies is not None]) > 1:
            raise ValueError("weights, preset and max_copies all say how much of each source; give one of them")
        if self.samples is not None and self.tokens is not None:
            raise ValueError("samples and tokens both say how long training is; give one of them")
        if self.tokens is not None and self.tokens < self.sequence_length:
            raise ValueError(f"tokens {self.tokens} hold no window of {self.sequence_length}; give more")
        if self.after is not None and self.extends is None:
            raise ValueError("after is a place in the plan that extends names; give both")
        rows = {row.name for row in MIXTURE_PRESETS[self.preset].rows} if self.preset else set()
        unknown = sorted(self.preset_sources.keys() - rows)
        if unknown:
            known = f"rows of {self.preset} are {', '.join(sorted(rows))}" if rows else "give a preset too"
            raise ValueError(f"preset_sources names {', '.join(unknown)}; {known}")
        return self
