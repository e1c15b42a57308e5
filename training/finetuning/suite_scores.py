"""One suite before and after fine-tuning, compared item by item where there are items."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field

from schemas.configs.evaluate import EvaluateConfig
from schemas.configs.finetune import FinetuneConfig
from schemas.storage import Folder
from training.evaluation.evaluate import evaluate
from training.evaluation.results import EvaluationResult, ItemRecord, Score, read_records, result_name
from training.evaluation.statistics import Estimate, estimate_mean

__all__ = ["Records", "TaskChange", "compare_suites", "score_suite"]


class TaskChange(BaseModel):
    """A task's main score before and after."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    shots: int
    metric: str
    before: float | None
    after: float | None
    change: float | None
    standard_error: float | None = Field(description="of the change, over groups of items; null for perplexity")
    n: int
    chance: float | None


Records = dict[tuple[str, int, str], ItemRecord]


def score_suite(
    run: str, step: int | None, suite: str, finetune: FinetuneConfig, say: Callable[[str], None]
) -> tuple[EvaluationResult, Records]:
    """Scores and records of a run, taken now or found in its folder.

    Raises:
        InputError: something that the suite needs is missing.
        ConfigError: the suite is malformed.
    """
    config = EvaluateConfig(
        step=step, limit=finetune.suite_limit, data=finetune.suite_data, untrained=False, bigram=False
    )
    result = evaluate(run, suite, config, say)
    records = read_records(Folder(run).child("scores"), result_name(result.suite, result.step))
    return result, {(record.task, record.shots, record.id): record for record in records}


def _difference(score: Score, before: Records, after: Records) -> Estimate:
    # Perplexity is a ratio of sums, whose change is no mean over items.
    wanted = (score.task, score.shots) if score.kind != "perplexity" else None
    mine = [key for key in after if key[:2] == wanted and key in before]
    changes = [after[key].metrics[score.metric] - before[key].metrics[score.metric] for key in mine]
    return estimate_mean(changes, [after[key].group or key[2] for key in mine])


def compare_suites(
    before: tuple[EvaluationResult, Records], after: tuple[EvaluationResult, Records]
) -> tuple[TaskChange, ...]:
    """Each task under each number of shots; both are of one suite."""
    changes = []
    for old, new in zip(before[0].scores, after[0].scores, strict=True):
        both = old.value is not None and new.value is not None
        changes.append(
            TaskChange(
                task=new.task,
                shots=new.shots,
                metric=new.metric,
                before=old.value,
                after=new.value,
                change=new.value - old.value if both else None,  # type: ignore[operator]
                standard_error=_difference(new, before[1], after[1]).standard_error,
                n=new.n,
                chance=new.chance,
            )
        )
    return tuple(changes)
