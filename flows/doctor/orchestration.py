"""Checks of Prefect: settings that lead elsewhere, the server, and what is set up and goes on in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from flows.doctor.finding import Check, Finding, Patient, fail, ok, warn
from flows.services.daemons import POOL
from flows.services.deployments import deployments_file
from flows.services.events import ZOMBIES
from flows.services.home import ServicesDescription, auth_string, prefect_command, read_services
from flows.services.rest import PrefectRest, ServerUnreachableError

__all__ = ["ORCHESTRATION_CHECKS"]

_LEADS_ELSEWHERE = ("PREFECT_API_KEY", "PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH")
_PENDING_LONG = timedelta(minutes=10)
_MANY_LATE = 100
_UP = "`corpusmill up`"


def _leftovers(patient: Patient) -> Iterator[Finding]:
    about = read_services(patient.home)
    found = {name: value for name, value in sorted(os.environ.items()) if name.startswith("PREFECT_") and value}
    if about is not None and found.get("PREFECT_API_URL") == about.api:
        del found["PREFECT_API_URL"]
        found.pop("PREFECT_API_AUTH_STRING", None)
    seen = f"in the environment: {', '.join(found)}" if found else "no setting of Prefect in the environment"
    command = prefect_command(patient.home, about) if about is not None else "env PREFECT_API_URL=… prefect"
    if any(name in found for name in _LEADS_ELSEWHERE):
        yield fail(
            "prefect-settings",
            f"{seen}; a plain `prefect` and your scripts go to another server, with another key",
            f"unset them, and reach this server with {command}",
            "P#18653",
        )
    elif found:
        yield warn("prefect-settings", f"{seen}; corpusmill leaves them aside", "unset what you do not mean")
    else:
        yield ok("prefect-settings", seen)


def _database(rest: PrefectRest, about: ServicesDescription) -> Iterator[Finding]:
    online = [one for one in rest.all_of(f"/work_pools/{POOL}/workers/filter") if one["status"] == "ONLINE"]
    seen = f"{about.database}, {len(online)} workers online"
    if not online:
        yield fail("workers", seen, f"runs wait for ever: `corpusmill down`, then {_UP}; see its log folder", "P#16746")
    elif about.database == "SQLite" and len(online) > 1:
        yield fail(
            "workers",
            seen,
            "several workers lock each other out of SQLite: set up.database to a PostgreSQL URL, or stop the others",
            *("P#23051", "P#10188", "P#19771"),
        )
    else:
        yield ok("workers", seen)


def _zombies(rest: PrefectRest, _about: ServicesDescription) -> Iterator[Finding]:
    enabled = {one["name"]: one["enabled"] for one in rest.all_of("/automations/filter")}
    remedy = f"{_UP} makes it anew; one that is switched off is switched on in the UI"
    idle = [name for name in ZOMBIES if not enabled.get(name)]
    if idle:
        told = " and ".join(f"{name!r} is {'switched off' if name in enabled else 'missing'}" for name in idle)
        seen = f"the automation {told}; runs whose worker was killed stay Running"
        yield fail("zombie-runs", seen, remedy, "P#16746", "P#18653")
    else:
        yield ok("zombie-runs", "runs that fall silent are crashed")


def _names(deployments: list[dict[str, Any]], flows: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {f"{flows[one['flow_id']]}/{one['name']}": one for one in deployments}


def _makes_wait(deployment: dict[str, Any]) -> bool:
    """Whether runs wait for a limit of the deployment; those that are refused instead have no order to lose."""
    limited = deployment["concurrency_limit"] or deployment["global_concurrency_limit"]
    options = deployment["concurrency_options"] or {}
    return bool(limited) and options.get("collision_strategy") != "CANCEL_NEW"


def _deployments(rest: PrefectRest, about: ServicesDescription) -> Iterator[Finding]:
    flows = {flow["id"]: str(flow["name"]) for flow in rest.all_of("/flows/filter")}
    found = _names(rest.all_of("/deployments/filter"), flows)
    served = sorted(name for name, one in found.items() if not one["work_pool_name"])
    if served:
        yield fail(
            "served-flows",
            f"without a work pool: {', '.join(served)}",
            "`flow.serve` leaves child processes alive after a cancel: deploy them to a work pool",
            *("P#20979", "P#17593"),
        )
    else:
        yield ok("served-flows", "all deployments are run by workers")
    limited = sorted(name for name, one in found.items() if _makes_wait(one))
    if limited:
        yield warn(
            "deployment-limits",
            f"limits of deployments: {', '.join(limited)}",
            "they lose the order of waiting runs, and a killed worker keeps its place: use a limit of the queue",
            *("prefect-operator#311", "P#22885"),
        )
    else:
        yield ok("deployment-limits", "queues limit what runs at once")
    yield from _outdated(found, about)
    yield from _schedules(found)


def _outdated(found: dict[str, dict[str, Any]], about: ServicesDescription) -> Iterator[Finding]:
    wanted = yaml.safe_load(deployments_file().read_text(encoding="utf-8"))["deployments"]
    here = {(one["entrypoint"], one["work_queue_name"], one["description"]) for one in found.values()}
    missing = [
        f"{one['entrypoint']} ({one['name']})"
        for one in wanted
        if (one["entrypoint"], one["work_pool"]["work_queue_name"], one["description"]) not in here
    ]
    if missing:
        yield warn("deployments", f"missing or out of date: {', '.join(missing)}", f"{_UP} brings them up to date")
    else:
        yield ok("deployments", f"{len(wanted)} as in {deployments_file()}; they run in {about.folder}")


def _schedules(found: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    without_zone, anchored, count = [], [], 0
    for name, one in found.items():
        for schedule in one["schedules"]:
            count += 1
            if "interval" in schedule["schedule"]:
                anchored.append(name)
            elif not schedule["schedule"].get("timezone"):
                without_zone.append(name)
    if without_zone or anchored:
        yield warn(
            "schedules",
            f"cron without a time zone: {', '.join(without_zone) or 'none'}; "
            f"intervals: {', '.join(anchored) or 'none'}",
            "give a cron and its zone, such as Etc/UTC: an interval's anchor moves when it is switched in the UI",
            "P#18482",
        )
    else:
        yield ok("schedules", f"{count}, each with its time zone")


def _runs(rest: PrefectRest, types: list[str], names: list[str] | None = None) -> list[dict[str, Any]]:
    state: dict[str, Any] = {"type": {"any_": types}} if names is None else {"name": {"any_": names}}
    return rest.all_of("/flow_runs/filter", flow_runs={"state": state})


def _slots(rest: PrefectRest, about: ServicesDescription) -> Iterator[Finding]:
    limit = rest.get(f"/v2/concurrency_limits/{about.gpu_limit}")
    running = _runs(rest, ["RUNNING", "CANCELLING"])
    seen = f"{limit['active_slots']} of {limit['limit']} slots of {about.gpu_limit} taken, {len(running)} runs running"
    if limit["active_slots"] > len(running):
        yield fail(
            "slots",
            seen,
            "slots of killed runs are free again within two minutes; if not: "
            f"`prefect gcl update {about.gpu_limit} --active-slots 0`",
            *("P#16746", "P#18839"),
        )
    else:
        yield ok("slots", seen)
    old = datetime.now(UTC) - _PENDING_LONG
    stuck = [one["name"] for one in _runs(rest, ["PENDING"]) if datetime.fromisoformat(one["state"]["timestamp"]) < old]
    if stuck:
        yield warn(
            "pending-runs",
            f"pending for more than ten minutes: {', '.join(stuck[:5])}",
            "their worker was killed before they began, and they keep their places: cancel them in the UI",
            "infrahub#9856",
        )
    else:
        yield ok("pending-runs", "none for long")
    late = _runs(rest, [], ["Late"])
    if len(late) > _MANY_LATE:
        yield warn(
            "late-runs",
            f"{len(late)} runs wait for their turn, and all of them will run, the oldest first",
            "cancel what nobody wants any more, by its tags",
            *("P#15886", "P#1358"),
        )
    else:
        yield ok("late-runs", f"{len(late)}")


_OF_THE_SERVER: tuple[Callable[[PrefectRest, ServicesDescription], Iterator[Finding]], ...] = (
    _database,
    _zombies,
    _deployments,
    _slots,
)


def _server(patient: Patient) -> Iterator[Finding]:
    about = read_services(patient.home)
    if about is None:
        yield warn(
            "server",
            f"no server of ours is up in {patient.home}",
            f"{_UP}; without one, each process that runs a flow starts a server of its own for it, which takes 7 s",
        )
        return
    rest = PrefectRest(about.api, auth_string(patient.home))
    findings: list[Finding] = [ok("server", f"{about.url}, history in {about.database}")]
    try:
        for check in _OF_THE_SERVER:
            findings += check(rest, about)
    except ServerUnreachableError as error:
        findings[0] = fail("server", str(error), f"`corpusmill down`, then {_UP}; see {patient.home}/log")
    yield from findings


ORCHESTRATION_CHECKS: tuple[Check, ...] = (_leftovers, _server)
