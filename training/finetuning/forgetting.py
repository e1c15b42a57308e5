"""What fine-tuning forgot: bits per byte of held-out pretraining text, before and after."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.configs.evaluate import EvaluateConfig
from schemas.errors import InputError
from schemas.tasks import TaskSpec
from training.checkpoints import LoadedModel
from training.evaluation.results import Score
from training.evaluation.split_scores import score_split

__all__ = ["Forgetting", "compare_text", "score_text"]

_TASK = TaskSpec(name="pretraining-text", kind="perplexity", split="test")


class Forgetting(BaseModel):
    """Bits per byte of the same windows of the test split; higher after than before is what was forgotten."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int = Field(default=0, description="scored; 0 where there was no text")
    before: float | None = None
    before_standard_error: float | None = Field(default=None, description="over windows")
    after: float | None = None
    after_standard_error: float | None = None
    change: float | None = None
    note: str = Field(default="", description="why there is no number")


def score_text(loaded: LoadedModel, windows: int, batch: int) -> Score | str:
    """Bits per byte of so many windows of each source of the run's test split; a text where it cannot be taken.

    Raises:
        ShardError: a shard is missing or damaged.
    """
    if not windows:
        return "not asked for (forgetting_windows is 0)"
    config = EvaluateConfig(limit=windows, untrained=False, bigram=False, batch=batch)
    try:
        score = score_split(loaded, None, _TASK, config)
    except InputError as error:  # the model came from elsewhere, or its corpus is not here: nothing to go on with
        return str(error)
    return score if score.value is not None else score.note


def compare_text(before: Score | str, after: Score | str) -> Forgetting:
    """Both scores beside each other."""
    if isinstance(before, str) or isinstance(after, str):
        return Forgetting(note=before if isinstance(before, str) else str(after))
    both = before.value is not None and after.value is not None
    return Forgetting(
        tokens=after.n,
        before=before.value,
        before_standard_error=before.standard_error,
        after=after.value,
        after_standard_error=after.standard_error,
        change=after.value - before.value if both else None,  # type: ignore[operator]
    )
