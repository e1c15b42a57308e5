"""The tasks of all flows: each is one step in a process of its own, which gives its seconds and its memory.

Nothing but small values goes through them. Prefect's own caching is off: manifests and receipts say what is done. What
failed for a reason that may pass is done again, after a pause; what the user gave wrong, and what would fail in the
same way, is not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prefect import State, Task, tags, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun

from flows.artifacts.brakes import tell_brake, tell_warning
from flows.artifacts.funnel import publish_funnel
from flows.artifacts.lineage import publish_lineage
from flows.artifacts.loss import LossFollower
from flows.artifacts.marks import stage_tag
from flows.artifacts.progress import log_steps
from flows.artifacts.report_link import publish_report
from flows.artifacts.scores import publish_changes, publish_scores
from flows.artifacts.updates import flush_updates
from flows.chain import digest_step, evaluate_step, finetune_step, pretrain_step, report_step, stage_step
from flows.demo.seed_site import seed_site
from flows.services.gpu_slots import gpu_slot
from flows.steps import Step, StepResult, perform
from schemas import errors
from schemas.configs.base import load_config
from schemas.configs.flows import (
    CorpusBuildParameters,
    EvaluateParameters,
    FinetuneParameters,
    PretrainParameters,
)
from schemas.configs.tokenize import TokenizeConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import StepFailedError

__all__ = [
    "RETRY",
    "evaluate_run",
    "finetune_run",
    "may_pass",
    "run_stage",
    "show_partition",
    "take_digest",
    "train_run",
    "write_report",
]

# These fail in the same way when they are done again.
_STAYS = (
    errors.UserError,
    errors.ContractError,
    errors.DivergedError,
    errors.LossBrakeError,
    errors.TooLittleTextError,
)


def may_pass(error: Any) -> bool:
    """Whether doing a failed step again can help: its process was killed, or the reason lies outside of the data."""
    if not isinstance(error, StepFailedError):
        return False
    kind = getattr(errors, error.kind, None) if error.kind else None
    return not (isinstance(kind, type) and issubclass(kind, _STAYS))


def _worth_a_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    return may_pass(state.data)


# For `task`; `with_options(retry_delay_seconds=0)` waits for nothing.
RETRY: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": [10, 60],
    "retry_jitter_factor": 0.3,
    "retry_condition_fn": _worth_a_retry,
}


def _perform(step: Step) -> StepResult:
    """Do a step, with its lines in the run's log and its brakes as events."""
    with log_steps():
        try:
            result = perform(step)
        except StepFailedError as error:
            tell_brake(step, error)
            raise
    tell_warning(step, result)
    return result


@task(name="stage", task_run_name="{stage} {parameters.source}/{parameters.partition}", cache_policy=NO_CACHE, **RETRY)
def _run_stage(stage: str, parameters: CorpusBuildParameters) -> StepResult:
    """One stage of the corpus."""
    surroundings = seed_site(parameters.seed_urls if stage == "crawl" else ())
    return _perform(stage_step(stage, parameters, surroundings))


def run_stage(stage: str, parameters: CorpusBuildParameters) -> StepResult:
    """One stage of the corpus, as a task that is tagged with the stage.

    Raises:
        UserError: something that was given is wrong.
        StepFailedError: it failed.
    """
    with tags(stage_tag(stage)):
        return _run_stage(stage, parameters)


def show_partition(parameters: CorpusBuildParameters) -> None:
    """Show in the flow run that goes on what became of the partition's items, and what it was made of.

    Raises:
        ManifestError: a manifest is damaged.
    """
    root, key = CorpusRoot(parameters.root), PartitionKey(parameters.source, parameters.partition)
    publish_funnel(root, key)
    publish_lineage(root, key, load_config(TokenizeConfig, parameters.config).tokenizer)


@task(task_run_name="digest", cache_policy=NO_CACHE, **RETRY)
def take_digest(root: str) -> StepResult:
    """The digest of the corpus, as its report and its proofs name it."""
    return _perform(digest_step(root))


def _followed(step: Step, run: str) -> StepResult:
    """Do a step that trains, and show its loss while it does."""
    follower = LossFollower(run)
    try:
        return _perform(replace(step, on_look=follower.look))
    finally:
        follower.finish()
        flush_updates()


@task(task_run_name="pretrain {parameters.mixture}", cache_policy=NO_CACHE, **RETRY)
def train_run(parameters: PretrainParameters) -> tuple[StepResult, str]:
    """Training; gives the folder of the run too."""
    step, run = pretrain_step(parameters)
    with gpu_slot():
        return _followed(step, run), run


@task(task_run_name="evaluate", cache_policy=NO_CACHE, **RETRY)
def evaluate_run(parameters: EvaluateParameters) -> StepResult:
    """Scores of a run."""
    result = _perform(evaluate_step(parameters))
    publish_scores(parameters.run, result.result["scores"])
    return result


@task(task_run_name="finetune", cache_policy=NO_CACHE, **RETRY)
def finetune_run(parameters: FinetuneParameters) -> tuple[StepResult, str]:
    """Fine-tuning; gives the folder of the new run too."""
    step, out = finetune_step(parameters)
    with gpu_slot():
        result = _followed(step, out)
    publish_changes(out, result.result["scores"])
    return result, out


@task(task_run_name="report", cache_policy=NO_CACHE, **RETRY)
def write_report(root: str, run: str, finetuned: str, out: str) -> StepResult:
    """The report on all of it."""
    result = _perform(report_step(root, run or None, finetuned or None, out))
    publish_report(root, str(result.result["report"]))
    return result
