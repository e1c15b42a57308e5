"""What the folders of a training run and of a fine-tuning run say."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.run import RunConfig, read_run
from schemas.storage import Folder
from training.evaluation.results import EvaluationResult, Score, read_result
from training.evaluation.statistics import Estimate
from training.loop.run_log import METRICS_NAME, SAMPLES_NAME, read_log

__all__ = ["Finetuning", "MetricChange", "TrainingRun", "read_finetuning", "read_training"]

_RESULT = "finetune.json"
_ITEMS = "finetune-items.jsonl"
# Test pairs that are shown with the answers before and after.
_SHOWN_ANSWERS = 6


@dataclass(frozen=True)
class TrainingRun:
    """A run: its description, one row a step, texts it wrote, and its newest scores of each suite."""

    config: RunConfig
    steps: tuple[dict[str, Any], ...]
    samples: tuple[dict[str, Any], ...]
    results: tuple[EvaluationResult, ...]

    @property
    def seconds(self) -> float:
        """Seconds in optimizer steps; validation, samples and checkpoints come on top."""
        return float(sum(row["seconds"] for row in self.steps))

    @property
    def validations(self) -> list[dict[str, Any]]:
        """The steps after which the loss on the validation split was taken."""
        return [row for row in self.steps if row.get("validation_loss") is not None]

    @property
    def scores(self) -> list[Score]:
        """All scores, in the order of suites and tasks."""
        return [score for result in self.results for score in result.scores]

    @property
    def test_loss(self) -> Score | None:
        """The score of the first task that takes perplexity."""
        return next((score for score in self.scores if score.kind == "perplexity" and score.value is not None), None)


@dataclass(frozen=True)
class MetricChange:
    """One metric on the test pairs."""

    name: str
    before: Estimate
    after: Estimate
    change: Estimate


@dataclass(frozen=True)
class Finetuning:
    """A fine-tuning run: its scores before and after, and some answers."""

    facts: dict[str, Any]
    changes: tuple[MetricChange, ...]
    steps: tuple[dict[str, Any], ...]
    answers: tuple[dict[str, Any], ...] = field(default=())


def _results(run: str) -> tuple[EvaluationResult, ...]:
    folder = Folder(run).child("scores")
    newest: dict[str, EvaluationResult] = {}
    for name in folder.names():
        result = read_result(folder, name.removesuffix(".json")) if name.endswith(".json") else None
        if result is not None and (result.suite not in newest or result.step > newest[result.suite].step):
            newest[result.suite] = result
    return tuple(newest[suite] for suite in sorted(newest))


def read_training(run: str | None) -> TrainingRun | None:
    """What a run has so far; None where there is no run.

    Raises:
        ManifestError: the run's description is damaged.
    """
    config = read_run(run) if run else None
    if run is None or config is None:
        return None
    return TrainingRun(config, tuple(read_log(run, METRICS_NAME)), tuple(read_log(run, SAMPLES_NAME)), _results(run))


def _answers(path: Path) -> tuple[dict[str, Any], ...]:
    """The first test pairs, as they come: nothing is picked."""
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8").splitlines()[:_SHOWN_ANSWERS]
    return tuple(json.loads(line) for line in lines)


def read_finetuning(run: str | None) -> Finetuning | None:
    """What a fine-tuning run measured; None where it is not finished."""
    path = Path(run or "") / _RESULT
    if not run or not path.is_file():
        return None
    facts = json.loads(path.read_text(encoding="utf-8"))
    changes = tuple(
        MetricChange(name, *(Estimate.model_validate(values[when]) for when in ("before", "after", "change")))
        for name, values in facts["scores"].items()
    )
    return Finetuning(facts, changes, tuple(read_log(run, METRICS_NAME)), _answers(path.with_name(_ITEMS)))
