"""Artifacts of the run that goes on: made, kept up to date, and never a reason for the work to fail.

Keys are made of names that stay, so that the UI keeps the history of each: `funnel-web-2026-07`,
`loss-pretrain-1f2e3d4c`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.context import FlowRunContext, TaskRunContext
from prefect.events import emit_event
from prefect.utilities.context import get_task_and_flow_run_ids

from flows.steps import LOGGER

__all__ = [
    "add_tags",
    "artifact_key",
    "in_a_run",
    "publish_markdown",
    "publish_progress",
    "publish_table",
    "tell_event",
]

_NOT_OF_A_KEY = re.compile(r"[^a-z0-9]+")
_T = TypeVar("_T")


def artifact_key(*names: str) -> str:
    """Names as one key: lower-case letters, digits and dashes."""
    return _NOT_OF_A_KEY.sub("-", "-".join(names).lower()).strip("-")


def in_a_run() -> bool:
    """Whether this code runs in a flow or a task, so that there is a server to tell."""
    return FlowRunContext.get() is not None or TaskRunContext.get() is not None


def _told(what: str, tell: Callable[[SyncPrefectClient], _T]) -> _T | None:
    """What the server answers; None outside of a run, and where the server cannot be told."""
    if not in_a_run():
        return None
    try:
        return tell(get_client(sync_client=True))
    except httpx.HTTPError as error:
        LOGGER.warning("the Prefect server did not take %s: %s", what, error)
        return None


def _create(kind: str, key: str, data: Any, description: str) -> UUID | None:
    task_run, flow_run = get_task_and_flow_run_ids()
    artifact = ArtifactCreate(
        type=kind, key=key, data=data, description=description, task_run_id=task_run, flow_run_id=flow_run
    )
    made = _told(f"artifact {key}", lambda client: client.create_artifact(artifact))
    return made.id if made else None


def publish_markdown(key: str, text: str, description: str) -> UUID | None:
    """Make an artifact of Markdown; gives its id, None where there is no server to tell."""
    return _create("markdown", key, text, description)


def publish_table(key: str, rows: Sequence[Mapping[str, Any]], description: str) -> UUID | None:
    """Make an artifact of a table, a row a mapping with the same columns; without rows there is none."""
    return _create("table", key, json.dumps(list(rows)), description) if rows else None


def publish_progress(key: str, percent: float, description: str) -> UUID | None:
    """Make an artifact that is a bar of progress."""
    return _create("progress", key, percent, description)


def add_tags(*tags: str) -> None:
    """Add tags to the flow run that goes on."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is not None:
        wanted = sorted({*run.tags, *tags})
        _told("tags", lambda client: client.update_flow_run(run.id, tags=wanted))


def tell_event(event: str, resource: str, name: str, payload: Mapping[str, Any]) -> None:
    """Emit an event that automations can wait for, about a resource of ours and related to the run that goes on.

    Args:
        event: such as `corpusmill.brake`.
        resource: the id of what it is about; equal for equal things.
        name: what people call it.
        payload: small JSON.
    """
    _, flow_run = get_task_and_flow_run_ids()
    if flow_run is None:
        return
    run = {"prefect.resource.id": f"prefect.flow-run.{flow_run}", "prefect.resource.role": "flow-run"}
    about = {"prefect.resource.id": resource, "prefect.resource.name": name}
    emit_event(event=event, resource=about, related=[run], payload=dict(payload))
