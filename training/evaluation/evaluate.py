"""Evaluating one checkpoint of a run on a suite.

Writes `<run>/scores/<suite>-step-<N>.json` and, beside it, `…-items.jsonl`. A result with the same fingerprint is given
back as it is.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from schemas.configs.evaluate import EvaluateConfig
from schemas.errors import InputError
from schemas.manifest import fingerprint
from schemas.run import RunConfig, latest_step, require_run
from schemas.storage import Folder, open_input
from schemas.tasks import GenerationItem, MultipleChoiceItem, Suite, TaskSpec, read_rows, read_suite
from training.checkpoints import LoadedModel, load_model, untrained_model
from training.evaluation.clean_items import list_digests, lists_folder, split_by_overlap
from training.evaluation.results import EvaluationResult, ItemRecord, Score, read_result, result_name, write_result
from training.evaluation.scoring import TaskRows, chance, score_choices, score_generation
from training.evaluation.split_scores import score_split
from training.evaluation.statistics import Estimate, estimate_mean

__all__ = ["evaluate"]

EVALUATION_VERSION = 1


def _silent(message: str) -> None:
    """Says nothing."""


def _content_digest(url: str) -> str:
    with open_input(url) as stream:
        return hashlib.blake2b(stream.read(), digest_size=32).hexdigest()


def _fingerprint(run: RunConfig, step: int, suite: Suite, config: EvaluateConfig, overlaps: dict[str, str]) -> str:
    files = sorted({path for task in suite.tasks for path in (task.items, task.examples) if path is not None})
    names = {path: _content_digest(path) for path in files}
    tasks = [
        task.model_copy(update={"items": names.get(task.items or ""), "examples": names.get(task.examples or "")})
        for task in suite.tasks
    ]
    return fingerprint(
        {
            "version": EVALUATION_VERSION,
            "run": run.model_dump(mode="json", exclude={"root", "mixture"}),
            "step": step,
            "suite": [task.model_dump(mode="json") for task in tasks],
            "config": config.fingerprint_view(),
            **({"overlaps": overlaps} if overlaps else {}),
        }
    )


def _read_task(spec: TaskSpec, config: EvaluateConfig) -> TaskRows:
    items: Sequence[MultipleChoiceItem | GenerationItem]
    examples: Sequence[MultipleChoiceItem | GenerationItem]
    if spec.kind == "multiple_choice":
        items = read_rows(spec.items or "", MultipleChoiceItem)
        examples = read_rows(spec.examples, MultipleChoiceItem) if spec.examples else ()
    else:
        items = read_rows(spec.items or "", GenerationItem)
        examples = read_rows(spec.examples, GenerationItem) if spec.examples else ()
    return TaskRows(spec=spec, items=items[: config.limit], examples=examples, seed=config.seed)


def _estimate(records: Sequence[ItemRecord], metric: str) -> Estimate:
    groups = [record.id if record.group is None else record.group for record in records]
    return estimate_mean([record.metrics[metric] for record in records], groups)


def _score_items(
    loaded: LoadedModel,
    untrained: LoadedModel | None,
    rows: TaskRows,
    shots: int,
    config: EvaluateConfig,
    lists: Folder | None,
) -> tuple[Score, list[ItemRecord]]:
    score = score_choices if rows.spec.kind == "multiple_choice" else score_generation
    records = score(loaded, rows, shots, config.batch)
    main = rows.spec.main_metric
    found, before = _estimate(records, main), None
    if untrained is not None:
        fewer = replace(rows, items=rows.items[: config.untrained_limit])
        before = _estimate(score(untrained, fewer, shots, config.batch), main)
    metrics = [name for name in records[0].metrics if name != main]
    enough = len(rows.examples) >= shots
    split = split_by_overlap(records, main, lists, rows.spec.name)
    result = Score(
        task=rows.spec.name,
        kind=rows.spec.kind,
        shots=shots,
        metric=main,
        value=found.value,
        standard_error=found.standard_error,
        n=found.n,
        groups=found.groups,
        chance=chance(rows),
        untrained=None if before is None else before.value,
        untrained_standard_error=None if before is None else before.standard_error,
        untrained_n=0 if before is None else before.n,
        truncated=sum(record.truncated for record in records),
        others={name: value for name in metrics if (value := _estimate(records, name).value) is not None},
        clean=split and split.clean.value,
        clean_standard_error=split and split.clean.standard_error,
        clean_n=split.clean.n if split else 0,
        dirty=split and split.dirty.value,
        dirty_standard_error=split and split.dirty.standard_error,
        dirty_n=split.dirty.n if split else 0,
        note="" if enough else f"only {len(rows.examples)} examples for {shots} shots",
    )
    return result, records


def _scores(
    loaded: LoadedModel,
    untrained: LoadedModel | None,
    tasks: Sequence[TaskSpec | TaskRows],
    config: EvaluateConfig,
    say: Callable[[str], None],
    lists: Folder | None,
) -> tuple[list[Score], list[ItemRecord]]:
    scores: list[Score] = []
    records: list[ItemRecord] = []
    for task in tasks:
        if isinstance(task, TaskSpec):
            scores.append(score_split(loaded, untrained, task, config))
            say(_line(scores[-1]))
            continue
        for shots in task.spec.shots:
            score, own = _score_items(loaded, untrained, task, shots, config, lists)
            scores.append(score)
            records += own
            say(_line(score))
    return scores, records


def _line(score: Score) -> str:
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    split = f", clean {number(score.clean)} of {score.clean_n}" if score.clean_n or score.dirty_n else ""
    return (
        f"{score.task} {score.shots}-shot: {score.metric} {number(score.value)} ± {number(score.standard_error)} "
        f"(untrained {number(score.untrained)}, chance {number(score.chance)}, n {score.n}{split})"
    )


def evaluate(
    run: str, suite_url: str, config: EvaluateConfig, say: Callable[[str], None] = _silent
) -> EvaluationResult:
    """Score a checkpoint on all tasks of a suite and write the result, unless it is there.

    Args:
        run: folder of a training or fine-tuning run.
        suite_url: the suite file.
        config: what is scored; no score depends on `config.batch` beyond rounding.
        say: is told each score as it is known.

    Raises:
        InputError: run, checkpoint, suite, items, examples or lists are missing, or a row is wrong (file and line are
            named).
        ConfigError: the suite is malformed.
        ShardError: the shards of the split are not those that the run's mixture pins.
    """
    started = time.monotonic()
    description = require_run(run)
    suite = read_suite(suite_url)
    step = latest_step(run) if config.step is None else config.step
    if step is None:
        raise InputError(f"{run} has no checkpoint yet; let `corpusmill train --run {run}` reach its first one")
    lists = lists_folder(config, description, suite)
    mark = _fingerprint(description, step, suite, config, list_digests(lists, suite))
    folder, name = Folder(run).child("scores"), result_name(suite.name, step)
    stored = read_result(folder, name)
    if stored is not None and stored.fingerprint == mark:
        return stored
    tasks = [spec if spec.kind == "perplexity" else _read_task(spec, config) for spec in suite.tasks]
    loaded = load_model(run, step)
    untrained = untrained_model(run) if config.untrained else None
    scores, records = _scores(loaded, untrained, tasks, config, say, lists)
    result = EvaluationResult(
        fingerprint=mark,
        suite=suite.name,
        run=run,
        kind=description.kind,
        step=step,
        mixture=description.mixture,
        parameters=loaded.model_config.num_parameters(),
        scores=tuple(scores),
        seconds=round(time.monotonic() - started, 3),
    )
    write_result(folder, name, result, records)
    return result
