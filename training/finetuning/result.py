"""What a fine-tuning run writes about itself: `finetune.json`, and an answered pair a line beside it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from training.finetuning.forgetting import Forgetting
from training.finetuning.job import FINETUNE_VERSION
from training.finetuning.pair_scores import Change, PairScore
from training.finetuning.suite_scores import TaskChange

__all__ = ["ITEMS_NAME", "RESULT_NAME", "FinetuneResult", "ItemResult"]

RESULT_NAME, ITEMS_NAME = "finetune.json", "finetune-items.jsonl"


class FinetuneResult(BaseModel):
    """What `finetune.json` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = FINETUNE_VERSION
    fingerprint: str
    run: str
    base: str
    base_step: int
    method: str = Field(description="full or lora")
    steps: int = Field(description="trained; fewer than planned where validation got no better")
    planned_steps: int
    best_step: int | None = Field(description="whose weights the checkpoint has; null without validation pairs")
    validation_losses: tuple[float, ...] = Field(description="nats per answer token, one a validation")
    pairs: int
    tokens: int = Field(description="of answers, trained on so far")
    truncated: int = Field(description="pairs cut from the left to fit in the context")
    loss: float = Field(description="of the last step, nats per answer token")
    parameters: int
    trainable_parameters: int
    state_bytes: int = Field(description="gradients and optimizer state")
    memory_bytes: int = Field(description="the most that the device, or on a CPU the process, has used")
    test_pairs: int
    scores: dict[str, Change] = Field(description="by metric; empty without test pairs")
    constant: dict[str, float] = Field(description="metrics of always giving the commonest training answer")
    suite: tuple[TaskChange, ...] = Field(description="the same suite before and after; empty without one")
    forgetting: Forgetting
    training_seconds: float
    seconds: float = Field(description="scoring included")


class ItemResult(BaseModel):
    """One line of `finetune-items.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    answer: str
    before: PairScore
    after: PairScore
