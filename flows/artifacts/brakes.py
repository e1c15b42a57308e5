"""Brakes as events: a partition that lost more than its settings allow is told to whoever waits for that."""

from __future__ import annotations

from flows.artifacts.publish import tell_event
from flows.services.events import BRAKE_EVENT
from flows.steps import Step, StepResult
from schemas.errors import LossBrakeError, StepFailedError

__all__ = ["tell_brake", "tell_warning"]


def _tell(stage: str, root: str, partition: str, message: str, *, stopped: bool) -> None:
    about = {"stage": stage, "root": root, "partition": partition, "message": message, "stopped": stopped}
    tell_event(BRAKE_EVENT, f"corpusmill.partition.{root}/{partition}", f"{stage} of {partition}", about)


def tell_brake(step: Step, error: StepFailedError) -> None:
    """Tell of a brake that stopped a step; of other failures nothing."""
    if error.kind == LossBrakeError.__name__:
        _tell(step.name, step.root.url, step.partition, str(error), stopped=True)


def tell_warning(step: Step, result: StepResult) -> None:
    """Tell of the brakes that warned while a step was done."""
    for unit in result.result.get("units", []) if result.status == "done" else ():
        brake = unit.get("notes", {}).get("brake")
        if brake and unit["status"] == "done":
            message = "; ".join(brake["said"])
            _tell(step.name, step.root.url, f"{unit['source']}/{unit['partition']}", message, stopped=False)
