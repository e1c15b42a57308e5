"""Settings of the stage that trains the quality classifier."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from schemas.configs.split import NAME_PATTERN, SplitShares

__all__ = ["QualityConfig"]


class QualityConfig(SplitShares):
    """What the classifier learns from, and how; once made under its name it is frozen."""

    stage: ClassVar[str] = "quality"

    name: str = Field(
        "quality",
        pattern=NAME_PATTERN,
        title="Name",
        description="Name of the classifier, and of its folder below classifiers/; another name makes another one.",
    )
    positives: tuple[str, ...] = Field(
        (), title="Trusted sources", description="Sources of the corpus whose documents are taken as good."
    )
    negatives: tuple[str, ...] = Field(
        (), title="Raw sources", description="Sources of the corpus that hold raw crawl, cleaned with no rules."
    )
    passages: int = Field(
        10_000,
        ge=10,
        le=1_000_000,
        title="Passages",
        description="Drawn from each source at most, by content hash; memory grows with it.",
    )
    passage_characters: int = Field(
        5_000,
        ge=200,
        le=1_000_000,
        title="Length of a passage",
        description="Longer texts are cut at the next end of a word, so that a book is many passages.",
    )
    held_out: float = Field(
        0.2,
        gt=0,
        lt=1,
        title="Held out",
        description="Share of the documents, by content hash, that the classifier is measured on and does not see.",
    )
    bits: int = Field(18, ge=8, le=24, title="Bits", description="There are 2^bits buckets that words are hashed into.")
    weighting: Literal["root-share", "count"] = Field(
        "root-share",
        title="Weighting",
        description="Of a bucket: the root of its share of the text's words, or, as GPT-3's, how often it is hit.",
    )
    regularization: float = Field(
        1e-4, ge=1e-9, le=1e3, title="Regularization", description="Factor of half the squared weights in the loss."
    )
    seed: int = Field(0, ge=0, lt=2**63, title="Seed", description="Enters every draw, beside the content.")

    @model_validator(mode="after")
    def _sources_are_named_and_differ(self) -> QualityConfig:
        for name, sources in (("positives", self.positives), ("negatives", self.negatives)):
            if not sources:
                raise ValueError(f"{name} names no source; give --set {name}='[\"NAME\"]' with a source of the corpus")
        both = sorted(set(self.positives) & set(self.negatives))
        if both:
            raise ValueError(f"source {both[0]!r} is among both positives and negatives; leave it out of one")
        return self
