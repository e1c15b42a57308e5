"""Settings of the tokenize stage."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.configs.split import NAME_PATTERN, SplitShares
from schemas.token_shard import SHARD_TOKENS

__all__ = ["TokenizeConfig"]


class TokenizeConfig(SplitShares):
    """How kept documents become token shards."""

    stage: ClassVar[str] = "tokenize"
    operational: ClassVar[frozenset[str]] = frozenset({"encoders"})

    tokenizer: str = Field(
        "bpe", pattern=NAME_PATTERN, title="Tokenizer", description="Name of the tokenizer to encode with."
    )
    shard_tokens: int = Field(
        SHARD_TOKENS,
        ge=1,
        le=2**31,
        title="Tokens of a shard",
        description="A stream of tokens is cut into shards of exactly this many, the last one shorter.",
    )
    encoders: tuple[Literal["gigatoken", "tiktoken", "tokenizers"], ...] = Field(
        ("gigatoken", "tiktoken", "tokenizers"),
        title="Encoders",
        description="Which encoders may serve, in order of preference: the first whose ids equal those of tokenizers "
        "on a sample of the partition and on hard texts does. All give the same ids.",
    )
