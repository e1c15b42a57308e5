"""Events of our own, and the automations that act on events: their names, and telling of an event.

Events are for the automations that tell people: a brake that held a partition back, a spike of the loss.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["BRAKE_EVENT", "NOTIFICATIONS", "SPIKE_EVENT", "ZOMBIES", "emit"]

BRAKE_EVENT = "corpusmill.brake"
SPIKE_EVENT = "corpusmill.loss-spike"
ZOMBIES = ("corpusmill: crash runs that fell silent", "corpusmill: crash runs that never gave a sign of life")
NOTIFICATIONS = (
    "corpusmill: tell of failed and crashed runs",
    "corpusmill: tell of brakes",
    "corpusmill: tell of loss spikes",
)


def emit(event: Literal["corpusmill.brake", "corpusmill.loss-spike"], subject: str, message: str) -> None:
    """Tell Prefect of an event, from within a flow or a task; Prefect names the run that it comes from.

    Args:
        event: one of the two names.
        subject: what it is about, such as `clean web/2026-30` or the folder of a run.
        message: what happened, as a sentence for people.
    """
    from prefect.events import emit_event

    resource = {"prefect.resource.id": f"corpusmill.subject.{subject}", "prefect.resource.name": subject}
    emit_event(event=event, resource=resource, payload={"message": message})
