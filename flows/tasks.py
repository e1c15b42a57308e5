"""The tasks of all flows: each is one step in a process of its own, which gives its seconds and its memory.

Nothing but small values goes through them. Prefect's own caching is off: manifests and receipts say what is done.
"""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.chain import digest_step, evaluate_step, finetune_step, pretrain_step, report_step, stage_step
from flows.demo.seed_site import seed_site
from flows.services.gpu_slots import gpu_slot
from flows.steps import StepResult, perform
from schemas.configs.flows import (
    CorpusBuildParameters,
    EvaluateParameters,
    FinetuneParameters,
    PretrainParameters,
)

__all__ = ["evaluate_run", "finetune_run", "run_stage", "take_digest", "train_run", "write_report"]


@task(task_run_name="{stage}", cache_policy=NO_CACHE)
def run_stage(stage: str, parameters: CorpusBuildParameters) -> StepResult:
    """One stage of the corpus."""
    surroundings = seed_site(parameters.seed_urls if stage == "crawl" else ())
    return perform(stage_step(stage, parameters, surroundings))


@task(task_run_name="digest", cache_policy=NO_CACHE)
def take_digest(root: str) -> StepResult:
    """The digest of the corpus, as its report and its proofs name it."""
    return perform(digest_step(root))


@task(task_run_name="pretrain", cache_policy=NO_CACHE)
def train_run(parameters: PretrainParameters) -> tuple[StepResult, str]:
    """Training; gives the folder of the run too."""
    step, run = pretrain_step(parameters)
    with gpu_slot():
        return perform(step), run


@task(task_run_name="evaluate", cache_policy=NO_CACHE)
def evaluate_run(parameters: EvaluateParameters) -> StepResult:
    """Scores of a run."""
    return perform(evaluate_step(parameters))


@task(task_run_name="finetune", cache_policy=NO_CACHE)
def finetune_run(parameters: FinetuneParameters) -> tuple[StepResult, str]:
    """Fine-tuning; gives the folder of the new run too."""
    step, out = finetune_step(parameters)
    with gpu_slot():
        return perform(step), out


@task(task_run_name="report", cache_policy=NO_CACHE)
def write_report(root: str, run: str | None, finetuned: str | None, out: str) -> StepResult:
    """The report on all of it."""
    return perform(report_step(root, run, finetuned, out))
