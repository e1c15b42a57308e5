"""The flow `finetune`: go on with a model on prompts and answers."""

from __future__ import annotations

from prefect import flow

from flows.artifacts.marks import run_name, run_tag
from flows.artifacts.progress import show_progress
from flows.artifacts.publish import add_tags
from flows.steps import StepResult
from flows.tasks import finetune_run
from schemas.configs.flows import FinetuneParameters

__all__ = ["finetune"]


@flow(name="finetune", flow_run_name=run_name("finetune", "run"))
def finetune(parameters: FinetuneParameters) -> tuple[StepResult, str]:
    """Fine-tune the newest checkpoint of a run, and score it before and after; gives the folder of the new run too.

    Args:
        parameters: Which run goes on with which pairs.
    """
    add_tags(run_tag(parameters, parameters.config))
    with show_progress("finetune", parameters.run.rstrip("/").rpartition("/")[2], ["finetune"]):
        return finetune_run(parameters)
