"""Settings of the tokenize stage."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from schemas.configs.split import NAME_PATTERN, SplitShares
from schemas.token_shard import SHARD_TOKENS

__all__ = ["TokenizeConfig"]


class TokenizeConfig(SplitShares):
    """How kept documents become token shards."""

    stage: ClassVar[str] = "tokenize"

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
