"""Settings of generating text."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.configs.base import StageConfig

__all__ = ["GenerateConfig"]


class GenerateConfig(StageConfig):
    """How a model goes on from a prompt."""

    stage: ClassVar[str] = "generate"

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
