"""Evaluating one checkpoint of a run on a suite.

Writes `<run>/scores/<suite>-step-<N>.json` and, beside it, `…-items.jsonl.gz`. A result with the same fingerprint is
given back as it is.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence

from schemas.configs.evaluate import EvaluateConfig
from schemas.errors import InputError
from schemas.manifest import fingerprint
from schemas.run import RunConfig, latest_step, require_run
from schemas.storage import Folder, open_input
from schemas.suites import Suite, read_suite, select_tasks
from schemas.tasks import TaskSpec
from training.checkpoints import LoadedModel, load_model, untrained_model
from training.evaluation.clean_items import list_digests, lists_folder
from training.evaluation.results import EvaluationResult, read_result, result_name, write_result
from training.evaluation.steps import Steps, finish
from training.evaluation.task_rows import TaskRows, read_task
from training.evaluation.task_scores import score_tasks

__all__ = ["evaluate", "evaluation", "read_tasks", "suite_of"]

EVALUATION_VERSION = 2


def _silent(message: str) -> None:
    """Says nothing."""


def _content_digest(url: str) -> str:
    with open_input(url) as stream:
        return hashlib.blake2b(stream.read(), digest_size=32).hexdigest()


def suite_of(suite_url: str, config: EvaluateConfig) -> Suite:
    """The tasks that are to be scored.

    Raises:
        InputError: the suite cannot be read, or is a shipped one and there is no folder with its data.
        ConfigError: the suite is malformed, or has no task or tag of a name that was asked for.
    """
    return select_tasks(read_suite(suite_url, config.data), config.tasks, config.tags)


def read_tasks(suite: Suite, config: EvaluateConfig) -> list[TaskSpec | TaskRows]:
    """The tasks with their rows; those that score a split of the run's mixture as they are.

    Raises:
        InputError: a file cannot be read, or a row does not fit; file and line are named.
    """
    return [spec if spec.items is None else read_task(spec, config.limit, config.seed) for spec in suite.tasks]


def _by_content(task: TaskSpec, digests: dict[str, str]) -> TaskSpec:
    """A task whose files are named by what is in them."""
    template = task.template
    if template is not None and template.python is not None:
        template = template.model_copy(update={"python": digests[template.python]})
    places = {"items": digests.get(task.items or ""), "examples": digests.get(task.examples or "")}
    return task.model_copy(update={**places, "template": template})


def _fingerprint(run: RunConfig, step: int, suite: Suite, config: EvaluateConfig, overlaps: dict[str, str]) -> str:
    files = sorted({path for task in suite.tasks for path in task.files})
    digests = {path: _content_digest(path) for path in files}
    return fingerprint(
        {
            "version": EVALUATION_VERSION,
            "run": run.model_dump(mode="json", exclude={"root", "mixture"}),
            "step": step,
            "suite": [_by_content(task, digests).model_dump(mode="json") for task in suite.tasks],
            "config": config.fingerprint_view(),
            **({"overlaps": overlaps} if overlaps else {}),
        }
    )


def evaluation(
    loaded: LoadedModel,
    untrained: LoadedModel | None,
    run: str,
    suite: Suite,
    tasks: Sequence[TaskSpec | TaskRows],
    config: EvaluateConfig,
    say: Callable[[str], None] = _silent,
) -> Steps[EvaluationResult]:
    """Score a model that is in memory on tasks that are read, and write the result, unless it is there.

    Args:
        loaded: the model of `run` at some step.
        untrained: as it was before training, where that is to be scored too.
        run: the run's folder.
        suite: the tasks.
        tasks: what `read_tasks` gave for them.
        config: what is scored; no score depends on `config.batch` beyond rounding.
        say: is told each score as it is known.
    """
    started = time.monotonic()
    lists = lists_folder(config, loaded.run, suite)
    mark = _fingerprint(loaded.run, loaded.step, suite, config, list_digests(lists, suite))
    folder, name = Folder(run).child("scores"), result_name(suite.name, loaded.step)
    stored = read_result(folder, name)
    if stored is not None and stored.fingerprint == mark:
        return stored
    found = yield from score_tasks(loaded, untrained, tasks, config, say, lists)
    result = EvaluationResult(
        fingerprint=mark,
        suite=suite.name,
        run=run,
        kind=loaded.run.kind,
        step=loaded.step,
        mixture=loaded.run.mixture,
        parameters=loaded.model_config.num_parameters(),
        scores=tuple(found.scores),
        seconds=round(time.monotonic() - started, 3),
    )
    write_result(folder, name, result, found.records)
    return result


def evaluate(
    run: str, suite_url: str, config: EvaluateConfig, say: Callable[[str], None] = _silent
) -> EvaluationResult:
    """Score a checkpoint on all tasks of a suite and write the result, unless it is there.

    Args:
        run: folder of a training or fine-tuning run.
        suite_url: the suite file, or the name of a shipped suite.
        config: what is scored; no score depends on `config.batch` beyond rounding.
        say: is told each score as it is known.

    Raises:
        InputError: run, checkpoint, suite, items, examples or lists are missing, or a row is wrong (file and line are
            named).
        ConfigError: the suite is malformed, or has no task or tag of a name that was asked for.
        ShardError: the shards of the split are not those that the run's mixture pins.
    """
    description = require_run(run)
    suite = suite_of(suite_url, config)
    step = latest_step(run) if config.step is None else config.step
    if step is None:
        raise InputError(f"{run} has no checkpoint yet; let `corpusmill train --run {run}` reach its first one")
    lists = lists_folder(config, description, suite)
    mark = _fingerprint(description, step, suite, config, list_digests(lists, suite))
    stored = read_result(Folder(run).child("scores"), result_name(suite.name, step))
    if stored is not None and stored.fingerprint == mark:
        return stored
    tasks = read_tasks(suite, config)
    untrained = untrained_model(run) if config.untrained else None
    return finish(evaluation(load_model(run, step), untrained, run, suite, tasks, config, say))
