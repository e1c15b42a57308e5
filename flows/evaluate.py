"""The flow `evaluate`: score a model on a suite of tasks."""

from __future__ import annotations

from prefect import flow

from flows.artifacts.marks import run_name, run_tag
from flows.artifacts.progress import show_progress
from flows.artifacts.publish import add_tags
from flows.steps import StepResult
from flows.tasks import evaluate_run
from schemas.configs.flows import EvaluateParameters

__all__ = ["evaluate"]


@flow(name="evaluate", flow_run_name=run_name("evaluate", "run"))
def evaluate(parameters: EvaluateParameters) -> StepResult:
    """Score the newest checkpoint of a run, beside the untrained model and chance.

    Args:
        parameters: Which run is scored on which tasks.
    """
    add_tags(run_tag(parameters, parameters.config))
    with show_progress("evaluate", parameters.run.rstrip("/").rpartition("/")[2], ["evaluate"]):
        return evaluate_run(parameters)
