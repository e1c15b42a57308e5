"""Settings of the stage that cuts evaluation tasks and fine-tuning pairs from kept documents."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.configs.split import NAME_PATTERN, SplitShares

__all__ = ["HeldoutConfig"]


class HeldoutConfig(SplitShares):
    """Tasks come from test documents, few-shot examples and training pairs from training documents."""

    stage: ClassVar[str] = "heldout"

    name: str = Field(
        default="heldout",
        pattern=NAME_PATTERN,
        title="Name",
        description="Name of the suite, and of its folder below heldout/.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, title="Seed", description="Enters every draw, beside the content.")
    items: int = Field(default=120, ge=1, le=100_000, title="Items", description="Items of one task at most.")
    least_items: int = Field(
        default=8, ge=1, le=100_000, title="Least items", description="A task with fewer is left out, with a note."
    )
    examples: int = Field(
        default=64, ge=0, le=10_000, title="Examples", description="Few-shot examples of one task at most."
    )
    shots: tuple[Annotated[int, Field(ge=0, le=64)], ...] = Field(
        default=(0, 1, 4),
        min_length=1,
        title="Shots",
        description="Numbers of examples before an item, for tasks with short items.",
    )
    choices: int = Field(default=4, ge=2, le=16, title="Choices", description="Choices of a multiple-choice item.")
    context_characters: int = Field(
        default=240, ge=40, le=100_000, title="Context", description="Characters before a cut in a document."
    )
    answer_characters: int = Field(
        default=80, ge=10, le=10_000, title="Answer", description="Characters of a continuation or an answer at most."
    )
    per_document: int = Field(
        default=16, ge=1, le=10_000, title="Per document", description="Items of one task from one document at most."
    )
    train_per_document: int = Field(
        default=64,
        ge=1,
        le=10_000,
        title="Training pairs per document",
        description="Examples or training pairs of one kind from one document at most.",
    )
    train_pairs: int = Field(default=3000, ge=0, le=1_000_000, title="Training pairs", description="At most.")
    test_pairs: int = Field(default=200, ge=0, le=100_000, title="Test pairs", description="At most.")
    validation_pairs: int = Field(default=200, ge=0, le=100_000, title="Validation pairs", description="At most.")
