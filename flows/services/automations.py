"""The automations of our server: runs that fell silent are crashed, and people are told of what goes wrong.

Prefect's open-source server has none of its own: without the first of them, a run whose worker was killed is
`Running` for ever and keeps its places in queues and limits.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from flows.services.events import BRAKE_EVENT, NOTIFICATIONS, SPIKE_EVENT, ZOMBIES

__all__ = ["apply_automation", "notifications", "remove_automation", "zombie_automations"]

_SIGN = "prefect.flow-run.heartbeat"
_BEGUN = {"prefect.flow-run.Pending", "prefect.flow-run.Running"}
# After any of these no sign of life is owed: the run is over, or waits without a process.
_SILENT = (
    *("Completed", "Failed", "Cancelled", "Crashed"),
    *("Paused", "Suspended", "AwaitingRetry", "AwaitingConcurrencySlot", "Scheduled", "Late"),
)
_RUN_TEXT = (
    '{"text": {{ ("Run " ~ flow_run.name ~ " of " ~ flow.name ~ ": " ~ flow_run.state.name ~ ". "'
    ' ~ (flow_run.state.message or "")) | tojson }},'
    ' "event": {{ event.event | tojson }}, "run": {{ flow_run.name | tojson }},'
    ' "flow": {{ flow.name | tojson }}, "state": {{ flow_run.state.name | tojson }},'
    ' "message": {{ (flow_run.state.message or "") | tojson }}, "url": {{ flow_run | ui_url | tojson }}}'
)
_OWN_TEXT = (
    '{"text": {{ (event.resource.name ~ ": " ~ event.payload.message) | tojson }},'
    ' "event": {{ event.event | tojson }}, "subject": {{ event.resource.name | tojson }},'
    ' "message": {{ event.payload.message | tojson }}}'
)


def zombie_automations(lost_after_seconds: int) -> list[AutomationCore]:
    """Crash a run that fell silent, and one of a deployment whose process died before its first sign of life.

    The second has twice as long: a process needs some seconds before it gives signs, and half a minute on busy cores.
    """
    silent, never = ZOMBIES
    deployments = ResourceSpecification({"prefect.resource.id": "prefect.deployment.*"})
    return [
        _crash(silent, {_SIGN}, ResourceSpecification({}), lost_after_seconds),
        _crash(never, _BEGUN, deployments, 2 * lost_after_seconds),
    ]


def _crash(name: str, after: set[str], related: ResourceSpecification, seconds: int) -> AutomationCore:
    return AutomationCore(
        name=name,
        description="A run without a heartbeat has lost its process: the state Crashed frees its places.",
        trigger=EventTrigger(
            after=after,
            expect={_SIGN, *(f"prefect.flow-run.{state}" for state in _SILENT)},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related=related,
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=seconds),
        ),
        actions=[
            ChangeFlowRunState(
                name=None,
                state=StateType.CRASHED,
                message=f"no sign of life for {seconds} s: its process, its worker or the machine is gone",
                force=False,
            )
        ],
    )


def _told(name: str, description: str, trigger: EventTrigger, text: str, webhook: UUID) -> AutomationCore:
    action = CallWebhook(block_document_id=webhook, payload=text)
    return AutomationCore(name=name, description=description, trigger=trigger, actions=[action])


def notifications(webhook: UUID) -> list[AutomationCore]:
    """Calls of a webhook on what people want to hear of; the parts of one run are told of once, by the run itself."""
    ended = EventTrigger(
        expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={"prefect.resource.id": "prefect.deployment.*"},
        posture=Posture.Reactive,
    )
    brake, spike = (EventTrigger(expect={name}, posture=Posture.Reactive) for name in (BRAKE_EVENT, SPIKE_EVENT))
    failed, brakes, spikes = NOTIFICATIONS
    return [
        _told(failed, "Runs of deployments that failed or crashed.", ended, _RUN_TEXT, webhook),
        _told(brakes, "A stage removed more than its settings allow.", brake, _OWN_TEXT, webhook),
        _told(spikes, "The loss of a training rose suddenly.", spike, _OWN_TEXT, webhook),
    ]


def apply_automation(client: SyncPrefectClient, wanted: AutomationCore) -> None:
    """Make an automation, or bring it up to date.

    One that is as wanted is left alone, for what it has seen so far is forgotten when it is changed; and one that was
    switched off in the UI stays off.
    """
    known = client.read_automations_by_name(wanted.name)
    if not known:
        client.create_automation(wanted)
        return
    parts = {"description", "trigger", "actions"}
    if known[0].model_dump(include=parts) != wanted.model_dump(include=parts):
        client.update_automation(known[0].id, wanted.model_copy(update={"enabled": known[0].enabled}))


def remove_automation(client: SyncPrefectClient, name: str) -> None:
    """Remove an automation where there is one of that name."""
    for known in client.read_automations_by_name(name):
        client.delete_automation(known.id)
