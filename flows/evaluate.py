"""The flow `evaluate`: score a model on a suite of tasks."""

from __future__ import annotations

from prefect import flow

from flows.steps import StepResult
from flows.tasks import evaluate_run
from schemas.configs.flows import EvaluateParameters

__all__ = ["evaluate"]


@flow(name="evaluate", flow_run_name="evaluate")
def evaluate(parameters: EvaluateParameters) -> StepResult:
    """Score the newest checkpoint of a run, beside the untrained model and chance."""
    return evaluate_run(parameters)
