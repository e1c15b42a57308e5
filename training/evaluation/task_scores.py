"""The scores of a suite's tasks, one after the other, each with its conventions and what belongs beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from schemas.configs.evaluate import EvaluateConfig
from schemas.storage import Folder
from schemas.tasks import TaskSpec
from training.checkpoints import LoadedModel
from training.evaluation.choice_scoring import score_choices, score_cloze
from training.evaluation.clean_items import split_by_overlap
from training.evaluation.results import ItemRecord, Score
from training.evaluation.scoring import score_generation
from training.evaluation.split_scores import score_split
from training.evaluation.statistics import Estimate, estimate_mean
from training.evaluation.steps import Steps
from training.evaluation.task_rows import TaskRows, chance
from training.evaluation.text_scoring import estimate_texts, score_texts

__all__ = ["Scored", "score_tasks", "shots_of"]

_CHOICE = {
    "sum": "sum of log-likelihoods",
    "token": "log-likelihood per token",
    "character": "log-likelihood per character",
    "byte": "log-likelihood per byte",
}


@dataclass
class Scored:
    """Scores, and what was measured on each item for them."""

    scores: list[Score] = field(default_factory=list)
    records: list[ItemRecord] = field(default_factory=list)


def _convention(spec: TaskSpec) -> str:
    """How the main score of a task is taken, in words."""
    if spec.kind == "multiple_choice":
        against = f"log-likelihood less that after {spec.answer_context!r}"
        return f"highest {_CHOICE.get(spec.normalization, against)}"
    if spec.kind == "cloze":
        return "all tokens of the word are the likeliest"
    if spec.kind == "perplexity":
        return "each text by itself, rolling windows" if spec.items else "the split as the model reads it in training"
    how = "greedy" if not spec.temperature else f"mean of {spec.samples} at temperature {spec.temperature:g}"
    return f"{how}, compared as {'SQuAD does' if spec.compare == 'squad' else 'written'}"


def shots_of(spec: TaskSpec, config: EvaluateConfig) -> tuple[int, ...]:
    """The numbers of examples that a task is scored with: the settings' where it has examples, else its own."""
    return config.shots if config.shots and spec.examples is not None else spec.shots


def _records(loaded: LoadedModel, rows: TaskRows, shots: int, batch: int) -> Steps[list[ItemRecord]]:
    if rows.spec.kind == "perplexity":
        return score_texts(loaded, rows, batch)
    score = {"multiple_choice": score_choices, "cloze": score_cloze, "generation": score_generation}[rows.spec.kind]
    return score(loaded, rows, shots, batch)


def _mean(records: Sequence[ItemRecord], metric: str) -> Estimate:
    groups = [record.id if record.group is None else record.group for record in records]
    return estimate_mean([record.metrics[metric] for record in records], groups)


def _main(spec: TaskSpec, records: list[ItemRecord]) -> Estimate:
    return estimate_texts(records)[0] if spec.kind == "perplexity" else _mean(records, spec.main_metric)


def _others(spec: TaskSpec, records: list[ItemRecord]) -> tuple[dict[str, float], dict[str, float]]:
    """The further metrics, and standard errors of those that are means."""
    if spec.kind == "perplexity":
        return estimate_texts(records)[1], {}
    means = {name: _mean(records, name) for name in records[0].metrics if name != spec.main_metric}
    values = {name: one.value for name, one in means.items() if one.value is not None}
    if spec.kind == "cloze" and -values["log_likelihood"] < 700:
        values["perplexity"] = math.exp(-values["log_likelihood"])
    errors = {name: one.standard_error for name, one in means.items() if one.standard_error is not None}
    return values, errors


def _score_items(
    loaded: LoadedModel,
    untrained: LoadedModel | None,
    rows: TaskRows,
    shots: int,
    config: EvaluateConfig,
    lists: Folder | None,
) -> Steps[tuple[Score, list[ItemRecord]]]:
    spec = rows.spec
    records = yield from _records(loaded, rows, shots, config.batch)
    found, before = _main(spec, records), None
    if untrained is not None:
        limit = config.untrained_limit
        fewer = replace(rows, items=rows.items[:limit], texts=rows.texts[:limit])
        before = _main(spec, (yield from _records(untrained, fewer, shots, config.batch)))
    others, errors = _others(spec, records)
    enough = len(rows.examples) >= shots
    split = split_by_overlap(records, spec.main_metric, lists, spec.name)
    score = Score(
        task=spec.name,
        kind=spec.kind,
        shots=shots,
        metric=spec.main_metric,
        convention=_convention(spec),
        tags=spec.tags,
        value=found.value,
        standard_error=found.standard_error,
        n=found.n,
        groups=found.groups,
        chance=chance(rows),
        untrained=None if before is None else before.value,
        untrained_standard_error=None if before is None else before.standard_error,
        untrained_n=0 if before is None else before.n,
        truncated=sum(record.truncated for record in records),
        shown=sum(len(record.examples) for record in records) / len(records),
        others=others,
        other_errors=errors,
        published=spec.published_at(shots),
        clean=split and split.clean.value,
        clean_standard_error=split and split.clean.standard_error,
        clean_n=split.clean.n if split else 0,
        dirty=split and split.dirty.value,
        dirty_standard_error=split and split.dirty.standard_error,
        dirty_n=split.dirty.n if split else 0,
        note="" if enough else f"only {len(rows.examples)} examples for {shots} shots",
    )
    return score, records


def _line(score: Score) -> str:
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    split = f", clean {number(score.clean)} of {score.clean_n}" if score.clean_n or score.dirty_n else ""
    papers = "".join(f", {model} {value:.3f}" for model, value in score.published.items() if model == "gpt3-175b")
    shown = f"{score.shown:.1f} shown, " if score.shown is not None and score.shown < score.shots else ""
    cut = f", cut {score.truncated}" if score.truncated else ""
    return (
        f"{score.task} {score.shots}-shot: {score.metric} {number(score.value)} ± {number(score.standard_error)} "
        f"({shown}untrained {number(score.untrained)}, chance {number(score.chance)}, n {score.n}{cut}{split}{papers})"
    )


def score_tasks(
    loaded: LoadedModel,
    untrained: LoadedModel | None,
    tasks: Sequence[TaskSpec | TaskRows],
    config: EvaluateConfig,
    say: Callable[[str], None],
    lists: Folder | None,
) -> Steps[Scored]:
    """Score all tasks under all their numbers of shots.

    Args:
        loaded: the model.
        untrained: as it was before training, where that is to be scored too.
        tasks: read, or for a split of the run's mixture as they are.
        config: the settings.
        say: is told each score as it is known.
        lists: of clean and dirty items, where there are any.
    """
    found = Scored()
    for task in tasks:
        if isinstance(task, TaskSpec):
            score = score_split(loaded, untrained, task, config)
            found.scores.append(score.model_copy(update={"convention": _convention(task), "tags": task.tags}))
            say(_line(found.scores[-1]))
            yield
            continue
        for shots in shots_of(task.spec, config):
            score, records = yield from _score_items(loaded, untrained, task, shots, config, lists)
            found.scores.append(score)
            found.records += records
            say(_line(score))
    return found
