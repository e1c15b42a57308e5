"""Schedules of the watch for new snapshots, one for each corpus and source.

They are schedules of their own beside that in `prefect.yaml`, each with its parameters: deploying again changes what
the file names, and leaves these as they are.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from schemas.configs.flows import WatchSnapshotsParameters
from schemas.errors import ConfigError, InputError
from schemas.manifest import fingerprint

__all__ = ["list_watches", "set_watch", "unset_watch"]

_DEPLOYMENT = "watch-snapshots/local"
_PREFIX = "watch-"
_DIGITS = 8


def _slug(root: str, source: str) -> str:
    return f"{_PREFIX}{source}-{fingerprint([root])[:_DIGITS]}"


def _schedule(cron: str, timezone: str) -> CronSchedule:
    try:
        return CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        field = error.errors()[0]["loc"][0]
        given, wanted = (
            (cron, "five fields, such as '0 6 * * 1' for Mondays at six")
            if field == "cron"
            else (timezone, "a zone by name, such as UTC or Europe/Berlin")
        )
        raise ConfigError(f"--{field} {given!r} is no {field}: give {wanted}") from error


def _watches(client: SyncPrefectClient) -> tuple[UUID, dict[str, DeploymentSchedule]]:
    try:
        deployment = client.read_deployment_by_name(_DEPLOYMENT)
    except ObjectNotFound as error:
        raise InputError(
            f"the server has no deployment {_DEPLOYMENT}; run `corpusmill up` to make all of ours"
        ) from error
    found = client.read_deployment_schedules(deployment.id)
    return deployment.id, {one.slug: one for one in found if one.slug and one.slug.startswith(_PREFIX)}


def set_watch(parameters: WatchSnapshotsParameters, cron: str, timezone: str) -> str:
    """Look for new snapshots at these times from now on, in place of the times before; gives the schedule's slug.

    Raises:
        ConfigError: the times or the zone are none.
        InputError: the server does not know our deployments.
    """
    schedule, slug = _schedule(cron, timezone), _slug(parameters.root, parameters.source)
    given = {"parameters": parameters.model_dump(mode="json")}
    with get_client(sync_client=True) as client:
        deployment, known = _watches(client)
        if slug in known:
            client.update_deployment_schedule(
                deployment, known[slug].id, active=True, schedule=schedule, parameters=given
            )
        else:
            made = DeploymentScheduleCreate(schedule=schedule, active=True, parameters=given, slug=slug)
            client.create_deployment_schedules(deployment, [made])
    return slug


def unset_watch(root: str, source: str) -> bool:
    """Look no more for this corpus and source; gives whether anybody did.

    Raises:
        InputError: the server does not know our deployments.
    """
    with get_client(sync_client=True) as client:
        deployment, known = _watches(client)
        one = known.get(_slug(root, source))
        if one is not None:
            client.delete_deployment_schedule(deployment, one.id)
    return one is not None


def list_watches() -> list[dict[str, Any]]:
    """Every watch: corpus, source, times, zone, and whether it is active.

    Raises:
        InputError: the server does not know our deployments.
    """
    with get_client(sync_client=True) as client:
        _, known = _watches(client)
    rows = []
    for slug in sorted(known):
        about = known[slug].parameters["parameters"]
        schedule = known[slug].schedule
        assert isinstance(schedule, CronSchedule)
        times = {"cron": schedule.cron, "timezone": schedule.timezone, "active": known[slug].active}
        rows.append({"root": about["root"], "source": about["source"], **times})
    return rows
