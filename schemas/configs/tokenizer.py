"""Settings of the tokenizer stage."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from schemas.configs.split import NAME_PATTERN, SplitShares

__all__ = ["TokenizerConfig"]


class TokenizerConfig(SplitShares):
    """How a tokenizer is made; once made under its name it is frozen."""

    stage: ClassVar[str] = "tokenizer"

    name: str = Field(
        "bpe", pattern=NAME_PATTERN, title="Name", description="Name of the tokenizer; another name makes another one."
    )
    vocabulary_size: int = Field(
        50_257,
        ge=257,
        le=2**20,
        title="Vocabulary size",
        description="Ids at most: 256 bytes, the merges and the end-of-text id; a small corpus gives fewer merges.",
    )
    sample_bytes: int = Field(
        2**28,
        ge=1,
        title="Sample",
        description="UTF-8 bytes of text to learn from; documents are drawn by content hash until they are reached.",
    )
    seed: int = Field(0, ge=0, lt=2**63, title="Seed", description="Enters the draw of the sample.")
