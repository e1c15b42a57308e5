"""Settings of the tokenizer stage."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, field_validator, model_validator

from schemas.configs.split import NAME_PATTERN, SplitShares

__all__ = ["TokenizerConfig"]

_Weights = dict[str, Annotated[float, Field(ge=0, le=1e6)]]


class TokenizerConfig(SplitShares):
    """How a tokenizer is made; once made under its name it is frozen."""

    stage: ClassVar[str] = "tokenizer"
    operational: ClassVar[frozenset[str]] = frozenset({"retrain"})

    name: str = Field(
        "bpe", pattern=NAME_PATTERN, title="Name", description="Name of the tokenizer; another name makes another one."
    )
    load: str | None = Field(
        None,
        title="Load",
        description="A tokenizer made elsewhere, taken as it is: a tokenizer.json, or a folder that holds one, or the "
        "vocabulary and merges of byte-level BPE (encoder.json and vocab.bpe, or vocab.json and merges.txt).",
    )
    vocabulary_size: int = Field(
        50_257,
        ge=257,
        le=2**20,
        title="Vocabulary size",
        description="Ids at most: 256 bytes, the merges and the special tokens; a small corpus gives fewer merges.",
    )
    pattern: str = Field(
        "gpt2",
        min_length=1,
        title="Pattern",
        description="What cuts text into words before bytes are merged: gpt2, cl100k, o200k, or a regular expression.",
    )
    end_of_text: str = Field(
        "<|endoftext|>", min_length=1, title="End of text", description="The token that is put after each document."
    )
    special_tokens: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        max_length=1024,
        title="Special tokens",
        description="Further tokens with ids after the end of text; text that spells one never becomes it.",
    )
    sample_bytes: int = Field(
        2**28,
        ge=1,
        title="Sample",
        description="UTF-8 bytes of text to learn from; documents are drawn by content hash until they are reached.",
    )
    source_weights: _Weights = Field(
        {},
        title="Weights of sources",
        description="How many times as likely a document of a source is drawn; 1 where none is given, 0 for never.",
    )
    language_weights: _Weights = Field(
        {},
        title="Weights of languages",
        description="The same by language, as clean identified it; a document's two weights are multiplied.",
    )
    retrain: bool = Field(
        False,
        title="Make another",
        description="Where a tokenizer of this name is there, make another beside it, with the next free number.",
    )
    seed: int = Field(0, ge=0, lt=2**63, title="Seed", description="Enters the draw of the sample.")

    @field_validator("pattern")
    @classmethod
    def _readable_pattern(cls, pattern: str) -> str:
        if pattern not in {"gpt2", "cl100k", "o200k"} and "|" not in pattern and "\\" not in pattern:
            raise ValueError("give gpt2, cl100k, o200k, or a regular expression")
        return pattern

    @model_validator(mode="after")
    def _ids_for_all_tokens(self) -> TokenizerConfig:
        specials = (self.end_of_text, *self.special_tokens)
        if len(set(specials)) < len(specials):
            raise ValueError("end_of_text and special_tokens name a token twice; give each once")
        if self.load is None and self.vocabulary_size < 256 + len(specials):
            raise ValueError(f"256 bytes and {len(specials)} special tokens need as many ids; raise vocabulary_size")
        return self
