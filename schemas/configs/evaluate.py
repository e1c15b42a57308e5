"""Settings of evaluating a run on a suite."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.configs.base import StageConfig

__all__ = ["EvaluateConfig"]


class EvaluateConfig(StageConfig):
    """What is scored and how much of it."""

    stage: ClassVar[str] = "evaluate"
    operational: ClassVar[frozenset[str]] = frozenset(["batch", "overlaps", "data"])

    step: int | None = Field(default=None, ge=0, title="Step", description="Checkpoint to score; empty: the newest.")
    data: str | None = Field(
        default=None,
        title="Data",
        description="Folder that the suite's files are in; empty: that of the suite. Shipped suites need it.",
    )
    tasks: tuple[str, ...] = Field(
        default=(), title="Tasks", description="Names of the suite's tasks to score; with no tag either, all of them."
    )
    tags: tuple[str, ...] = Field(
        default=(), title="Tags", description="Tags of the suite's tasks to score, such as arithmetic."
    )
    shots: tuple[Annotated[int, Field(ge=0, le=1024)], ...] = Field(
        default=(), title="Shots", description="Examples before an item, for all tasks that have any; empty: their own."
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        title="Limit",
        description="Items of a task, and windows of each source for perplexity, at most; empty: all.",
    )
    untrained: bool = Field(
        default=True, title="Untrained", description="Score the model as it was before training, too."
    )
    untrained_limit: int | None = Field(
        default=40,
        ge=1,
        title="Untrained limit",
        description="As `limit`, for the untrained model, whose scores are near chance; empty: as `limit`.",
    )
    bigram: bool = Field(
        default=True, title="Bigram", description="Compare perplexity with an add-one bigram model of the shards."
    )
    overlaps: str | None = Field(
        default=None,
        title="Clean and dirty items",
        description="Folder of the lists that decontamination wrote; empty: those of the run's corpus under the "
        "suite's name, where there are any.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, title="Seed", description="Of the draws of few-shot examples.")
    batch: int = Field(
        default=32, ge=1, le=65_536, title="Batch", description="Sequences of one forward pass; never changes a score."
    )
