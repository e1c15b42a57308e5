"""The flow `finetune`: go on with a model on prompts and answers."""

from __future__ import annotations

from prefect import flow

from flows.steps import StepResult
from flows.tasks import finetune_run
from schemas.configs.flows import FinetuneParameters

__all__ = ["finetune"]


@flow(name="finetune", flow_run_name="finetune")
def finetune(parameters: FinetuneParameters) -> tuple[StepResult, str]:
    """Fine-tune the newest checkpoint of a run, and score it before and after; gives the folder of the new run too."""
    return finetune_run(parameters)
