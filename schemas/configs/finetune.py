"""Settings of fine-tuning on prompts and answers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.configs.base import StageConfig
from schemas.records import ColumnTemplate

__all__ = ["FinetuneConfig", "LoraSettings", "LoraTarget"]

LoraTarget = Literal["attention.qkv", "attention.projection", "perceptron.expand", "perceptron.projection"]


class LoraSettings(BaseModel):
    """A low-rank adapter (Hu et al. 2021, section 4.1)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rank: int = Field(default=8, ge=1, le=4096, title="Rank", description="Columns of the first matrix.")
    alpha: float = Field(
        default=16.0, gt=0, le=1e6, title="Alpha", description="The added product is scaled by alpha / rank."
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, title="Dropout", description="Of the adapter's inputs.")
    targets: tuple[LoraTarget, ...] = Field(
        default=("attention.qkv", "attention.projection", "perceptron.expand", "perceptron.projection"),
        min_length=1,
        title="Targets",
        description="Linear layers of each block that get an adapter.",
    )


class FinetuneConfig(StageConfig):
    """One fine-tuning run; the loss is taken on the tokens of answers alone."""

    stage: ClassVar[str] = "finetune"
    operational: ClassVar[frozenset[str]] = frozenset(["score_batch"])
    # They decide what is measured, not what is trained.
    measuring: ClassVar[frozenset[str]] = frozenset(
        ["test_limit", "max_tokens", "stop", "suite_data", "suite_limit", "forgetting_windows"]
    )

    step: int | None = Field(
        default=None, ge=0, title="Step", description="Checkpoint to start from; empty: the newest."
    )
    method: Literal["full", "lora"] = Field(
        default="full", title="Method", description="full: all weights; lora: a low-rank adapter beside frozen weights."
    )
    lora: LoraSettings = Field(default=LoraSettings(), title="LoRA", description="Of the method lora.")
    epochs: float = Field(default=2.0, gt=0, le=1000, title="Epochs", description="Times every pair is seen.")
    batch: int = Field(default=32, ge=1, le=65_536, title="Batch", description="Pairs a step.")
    micro_batch: int | None = Field(
        default=None,
        ge=1,
        le=65_536,
        title="Rows at once",
        description="Rows of one forward pass; empty: all of a step.",
    )
    pack: bool = Field(
        default=True,
        title="Pack",
        description="Put short pairs in one row, where none sees another; the loss is the same but for rounding.",
    )
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
    prompt_template: ColumnTemplate = Field(
        default="{prompt}", title="Prompt template", description="What a row's prompt is made of; {column}."
    )
    answer_template: ColumnTemplate = Field(
        default="{answer}", title="Answer template", description="What a row's answer is made of; {column}."
    )
    delimiter: str = Field(default=" ", title="Delimiter", description="Between a prompt and its answer.")
    validation_every: int = Field(
        default=0, ge=0, title="Validation", description="Steps between losses on validation pairs; 0: an epoch's."
    )
    patience: int = Field(
        default=0,
        ge=0,
        title="Patience",
        description="End after so many validations without a better one; 0: never. The best weights are kept.",
    )
    forgetting_windows: int = Field(
        default=32,
        ge=0,
        title="Forgetting",
        description="Held-out windows of each pretraining source whose loss is taken before and after; 0: none.",
    )
    suite_data: str | None = Field(
        default=None,
        title="Suite data",
        description="Folder that the suite's files are in; empty: that of the suite. Shipped suites need it.",
    )
    suite_limit: int | None = Field(
        default=None, ge=1, title="Suite limit", description="Items of a task of the suite at most; empty: all."
    )
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
