"""Settings of generating text."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from schemas.configs.base import StageConfig
from schemas.records import ColumnTemplate

__all__ = ["GenerateConfig"]


class GenerateConfig(StageConfig):
    """How a model goes on from a prompt."""

    stage: ClassVar[str] = "generate"
    operational: ClassVar[frozenset[str]] = frozenset(["batch"])

    max_tokens: int = Field(
        default=128, ge=1, le=1_000_000, title="Tokens", description="Tokens to generate at most, after the prompt."
    )
    temperature: float = Field(
        default=0.8, ge=0, le=100, title="Temperature", description="Divides the logits; 0 takes the likeliest token."
    )
    top_k: int | None = Field(
        default=None, ge=1, title="Top k", description="Draw among the k likeliest tokens only; empty: among all."
    )
    top_p: float = Field(
        default=1.0, gt=0, le=1, title="Top p", description="Draw among the likeliest tokens that make up this share."
    )
    seed: int = Field(default=0, ge=0, lt=2**63, title="Seed", description="Of the draws; equal seeds, equal text.")
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), title="Stop", description="Texts before which generation ends, beside end-of-text."
    )
    separator: str = Field(default="\n\n", title="Separator", description="Between examples, and before the prompt.")
    delimiter: str = Field(
        default=" ", title="Delimiter", description="Between the prompt and the answer of an example."
    )
    beams: int = Field(
        default=1,
        ge=1,
        le=256,
        title="Beams",
        description="Over 1: search for the likeliest text, so many at once, and draw nothing; GPT-3 has 4.",
    )
    length_penalty: float = Field(
        default=0.6,
        ge=0,
        le=10,
        title="Length penalty",
        description="Of beam search: log-probabilities are divided by ((5 + tokens) / 6) to this power.",
    )
    template: ColumnTemplate = Field(
        default="{prompt}", title="Template", description="What a row of a file of prompts is made into; {column}."
    )
    batch: int = Field(
        default=32, ge=1, le=65_536, title="Batch", description="Prompts of a file that are answered at once at most."
    )

    @model_validator(mode="after")
    def _searches_or_draws(self) -> GenerateConfig:
        drawing = sorted({"temperature", "top_k", "top_p"} & self.model_fields_set)
        if self.beams > 1 and drawing:
            raise ValueError(f"{self.beams} beams search and draw nothing; leave {', '.join(drawing)} out, or beams")
        return self
