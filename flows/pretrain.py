"""The flow `pretrain`: train a model on a mixture."""

from __future__ import annotations

from prefect import flow

from flows.artifacts.marks import run_tag
from flows.artifacts.progress import show_progress
from flows.artifacts.publish import add_tags
from flows.steps import StepResult
from flows.tasks import train_run
from schemas.configs.flows import PretrainParameters

__all__ = ["pretrain"]


@flow(name="pretrain", flow_run_name="pretrain {parameters.mixture}")
def pretrain(parameters: PretrainParameters) -> tuple[StepResult, str]:
    """Train, or go on with a run that was interrupted; gives the folder of the run too.

    Args:
        parameters: Which mixture is trained on. The model and its training are in the table [train] of the settings.
    """
    add_tags(run_tag(parameters, parameters.config))
    with show_progress("pretrain", parameters.mixture, ["pretrain"]):
        return train_run(parameters)
