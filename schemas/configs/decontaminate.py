"""Settings of the stage `decontaminate`; the defaults are GPT-3's (Brown et al. 2020, appendix C)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import Field, model_validator

from schemas.configs.base import StageConfig
from schemas.configs.split import NAME_PATTERN

__all__ = ["BenchmarkConfig", "DecontaminateConfig", "NgramConfig"]

_Text = Annotated[str, Field(min_length=1)]


class BenchmarkConfig(StageConfig):
    """What decides about the items that are read from evaluation files."""

    stage: ClassVar[str] = "decontaminate"

    name: str = Field(
        default="benchmarks",
        pattern=NAME_PATTERN,
        title="Name",
        description="Name of the collection of evaluation sets, and of its folder below benchmarks/.",
    )
    columns: tuple[_Text, ...] = Field(
        default=(),
        title="Columns",
        description="Columns whose texts, joined in this order, are an item; empty: those of the known formats.",
    )


class NgramConfig(BenchmarkConfig):
    """What decides about the n-grams that are looked for."""

    ngram: int = Field(
        default=13, ge=2, le=64, title="Words", description="Words of an n-gram that is cut out; GPT-3 took 13."
    )
    overlap_percentile: float = Field(
        default=5.0,
        ge=0,
        le=100,
        title="Percentile",
        description="An item is dirty by n-grams of as many words as this percentile of its set's item lengths.",
    )
    overlap_least: int = Field(
        default=8, ge=1, le=64, title="Least words", description="Of these n-grams, except in synthetic sets."
    )
    overlap_most: int = Field(default=13, ge=2, le=64, title="Most words", description="Of these n-grams.")
    synthetic: tuple[_Text, ...] = Field(
        default=(),
        title="Synthetic sets",
        description="Names or patterns (* and ?) of sets to which the least number of words does not apply; then it is "
        "2. GPT-3 named arithmetic and word scrambling so.",
    )
    short_items: Literal["whole", "leave out"] = Field(
        default="whole",
        title="Short items",
        description="Items of fewer words than an n-gram: whole looks for the question, and for question and answer "
        "together, as one n-gram; leave out never finds them, as GPT-3's procedure.",
    )
    short_words: int = Field(
        default=5, ge=1, le=64, title="Short words", description="Words that a short item must have to be looked for."
    )
    punctuation: Literal["remove", "separate"] = Field(
        default="remove",
        title="Punctuation",
        description="remove: `well-known` is one word, as in GPT-3's procedure; separate: it is two.",
    )

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.overlap_least > self.overlap_most:
            raise ValueError(
                f"overlap_least {self.overlap_least} is over overlap_most {self.overlap_most}; lower one or raise the "
                "other"
            )
        return self


NarrowT = TypeVar("NarrowT", bound=BenchmarkConfig)


class DecontaminateConfig(NgramConfig):
    """All settings of the stage."""

    operational: ClassVar[frozenset[str]] = frozenset({"evaluations"})  # their contents are inputs

    evaluations: tuple[_Text, ...] = Field(
        default=(),
        title="Evaluation files",
        description="JSONL, JSON, CSV, TSV or Parquet, suites, or folders of these; empty: those that were read "
        "before under this name.",
    )
    action: Literal["cut", "drop"] = Field(
        default="cut",
        title="Action",
        description="cut: the n-gram goes with what surrounds it; drop: the whole document goes.",
    )
    share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        title="Share of an item",
        description="An n-gram counts only in a document that holds at least this share of the words of one of its "
        "items; 0: always. For use with few words.",
    )
    cut_characters: int = Field(
        default=200,
        ge=0,
        le=1_000_000,
        title="Cut characters",
        description="Characters cut on each side of an n-gram, beside it.",
    )
    least_piece: int = Field(
        default=200,
        ge=0,
        le=1_000_000,
        title="Least piece",
        description="Characters; what is left of a cut document in shorter pieces goes too.",
    )
    most_pieces: int = Field(
        default=10,
        ge=1,
        le=1_000_000,
        title="Most pieces",
        description="A document that cuts leave in more pieces goes as a whole.",
    )
    most_documents: int = Field(
        default=10,
        ge=0,
        le=2**62,
        title="Most documents",
        description="An n-gram in more documents than this, of this partition and all before it, is common text and "
        "stays; 0: none stays.",
    )

    def narrowed(self, to: type[NarrowT]) -> NarrowT:
        """The part of these settings that one unit depends on."""
        return to(**{name: getattr(self, name) for name in to.model_fields})
