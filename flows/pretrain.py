"""The flow `pretrain`: train a model on a mixture."""

from __future__ import annotations

from prefect import flow

from flows.steps import StepResult
from flows.tasks import train_run
from schemas.configs.flows import PretrainParameters

__all__ = ["pretrain"]


@flow(name="pretrain", flow_run_name="pretrain {parameters.mixture}")
def pretrain(parameters: PretrainParameters) -> tuple[StepResult, str]:
    """Train, or go on with a run that was interrupted; gives the folder of the run too."""
    return train_run(parameters)
