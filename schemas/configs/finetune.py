"""Settings of fine-tuning on prompts and answers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.configs.base import StageConfig

__all__ = ["FinetuneConfig"]


class FinetuneConfig(StageConfig):
    """One fine-tuning run; the loss is taken on the tokens of answers alone."""

    stage: ClassVar[str] = "finetune"
    operational: ClassVar[frozenset[str]] = frozenset(["score_batch"])

    step: int | None = Field(
        default=None, ge=0, title="Step", description="Checkpoint to start from; empty: the newest."
    )
    epochs: float = Field(default=2.0, gt=0, le=1000, title="Epochs", description="Times every pair is seen.")
    batch: int = Field(default=32, ge=1, le=65_536, title="Batch", description="Pairs a step.")
    learning_rate: float = Field(default=5e-4, gt=0, le=10, title="Learning rate", description="The highest.")
    warmup_share: float = Field(
        default=0.1, ge=0, lt=1, title="Warm-up share", description="Of the steps; then the rate falls along a cosine."
    )
    final_share: float = Field(
        default=0.1, ge=0, le=1, title="Final share", description="Of the learning rate at the end."
    )
    weight_decay: float = Field(default=0.1, ge=0, title="Weight decay", description="On matrices only.")
    gradient_clip: float = Field(default=1.0, gt=0, title="Gradient clip", description="Largest norm of the gradient.")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        default="auto", title="Precision", description="Of matrix products; auto: bf16 where the processor has it."
    )
    seed: int = Field(default=0, ge=0, lt=2**63, title="Seed", description="Of the order of pairs and of dropout.")
    delimiter: str = Field(default=" ", title="Delimiter", description="Between a prompt and its answer.")
    max_tokens: int = Field(
        default=40,
        ge=1,
        le=4096,
        title="Answer tokens",
        description="Tokens of a generated answer at most, when scoring.",
    )
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=("\n",), title="Stop", description="Texts that end a generated answer, beside end-of-text."
    )
    test_limit: int | None = Field(
        default=None, ge=1, title="Test limit", description="Test pairs scored before and after at most; empty: all."
    )
    score_batch: int = Field(
        default=32, ge=1, le=65_536, title="Scoring batch", description="Pairs scored at once; never changes a score."
    )
