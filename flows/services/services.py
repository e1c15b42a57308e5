"""A Prefect server and its workers from outside: up, down, status."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.keeping.control import daemons_of, restarted_daemons, start_keeper, stop_keeper
from flows.keeping.keeper import keeper_of
from flows.services.daemons import (
    POOL,
    WEBHOOK_VARIABLE,
    client_environment,
    gpu_count,
    read_settings,
    write_settings,
)
from flows.services.home import AUTH_FILE, ServicesDescription, auth_string, make_auth_string, read_services
from flows.services.keeper import setup_command
from flows.services.rest import PrefectRest, ServerUnreachableError
from schemas.configs.up import UpConfig
from schemas.errors import InputError, OutputError, StageError

__all__ = ["services_status", "start_services", "stop_services"]

_WHAT = "the Prefect server"
# Beyond what runs get to save what they have: the server writes down the last of its history.
_STOP_SECONDS = 45.0


def _complete(config: UpConfig) -> UpConfig:
    folder = Path(config.folder or Path.cwd()).absolute()
    if not folder.is_dir():
        raise InputError(f"up.folder: {folder} is no folder; give one that is there, for flows to run in")
    return config.model_copy(update={"folder": str(folder), "gpu_slots": config.gpu_slots or gpu_count() or 1})


def _require_same(config: UpConfig, home: Path) -> None:
    """What was given now must be what runs: the rest of the settings may have come from an earlier call."""
    running = read_settings(home)
    other = sorted(name for name in config.model_fields_set if getattr(config, name) != getattr(running, name))
    if other:
        told = ", ".join(f"{name}={getattr(running, name)}" for name in other)
        raise InputError(
            f"the Prefect server in {home} is up with other settings ({told}); `corpusmill down` stops it, then start "
            "it with yours"
        )


def _set_up_again(home: Path, about: ServicesDescription) -> None:
    env = client_environment(home, about, read_settings(home))
    if WEBHOOK_VARIABLE in os.environ:
        env[WEBHOOK_VARIABLE] = os.environ[WEBHOOK_VARIABLE]
    done = subprocess.run(  # noqa: S603
        setup_command(home), env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise StageError(f"setting up the server failed: {said[-1] if said else f'exit code {done.returncode}'}")


def start_services(config: UpConfig, home: Path, tell: Callable[[str], None]) -> tuple[ServicesDescription, bool]:
    """Start a server and workers that stay when this process ends, or bring what is set up on a running one up to date.

    Args:
        config: the settings.
        home: where its files lie.
        tell: is given a line of text for what takes long.

    Returns:
        What is up, and whether it was up before.

    Raises:
        InputError: the port is taken, a setting does not fit, or a server is up with other settings.
        StageError: it does not come up; the message says why.
        OutputError: the home cannot be written.
    """
    about = read_services(home)
    if about is not None:
        _require_same(config, home)
        tell("bringing deployments up to date")
        _set_up_again(home, about)
        return about, True
    if keeper_of(home) is not None:
        raise InputError(f"a Prefect server is starting or stopping in {home}; wait a moment, then try again")
    complete = _complete(config)
    try:
        (home / "log").mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)  # the database holds parameters, the log folder holds what runs wrote
        write_settings(home, complete)
        if complete.auth:
            make_auth_string(home)
        else:
            (home / AUTH_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {home}: {error.strerror}; give another --home") from error
    tell("starting the server; a first time makes its database")

    def find(keeper: int) -> ServicesDescription | None:
        found = read_services(home)
        return found if found is not None and found.keeper_pid == keeper else None

    command = [sys.executable, "-m", "flows.services.keeper", str(home), str(os.getpid())]
    return start_keeper(command, home, find, _WHAT), False


def stop_services(home: Path) -> bool:
    """Stop the server, its workers and their runs, and wait until all are gone; gives whether one was up.

    Raises:
        StageError: it does not end.
    """
    if keeper_of(home) is None:
        return False
    return stop_keeper(home, _WHAT, read_settings(home).grace_seconds + _STOP_SECONDS)


def _queues(rest: PrefectRest) -> dict[str, dict[str, Any]]:
    running = [
        run["work_queue_name"]
        for run in rest.all_of(
            "/flow_runs/filter", flow_runs={"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}
        )
    ]
    return {
        queue["name"]: {"limit": queue["concurrency_limit"], "running": running.count(queue["name"])}
        for queue in sorted(rest.all_of(f"/work_pools/{POOL}/queues/filter"), key=lambda queue: str(queue["name"]))
        if queue["concurrency_limit"] is not None
    }


def _seen(rest: PrefectRest, about: ServicesDescription) -> dict[str, Any]:
    """What the server itself says."""
    limit = rest.get(f"/v2/concurrency_limits/{about.gpu_limit}")
    workers = rest.all_of(f"/work_pools/{POOL}/workers/filter")
    flows = {flow["id"]: flow["name"] for flow in rest.all_of("/flows/filter")}
    return {
        "workers": sorted(one["name"] for one in workers if one["status"] == "ONLINE"),
        "queues": _queues(rest),
        "gpu_slots": {"limit": limit["limit"], "running": limit["active_slots"]},
        "deployments": sorted(f"{flows[one['flow_id']]}/{one['name']}" for one in rest.all_of("/deployments/filter")),
        "automations": sorted(one["name"] for one in rest.all_of("/automations/filter") if one["enabled"]),
    }


def services_status(home: Path) -> dict[str, Any]:
    """What is up: `state` (`up`, `down`, `not answering`), where, its processes, and what the server says of itself.

    Raises:
        InputError: the description is damaged.
    """
    about = read_services(home)
    if about is None:
        return {"state": "down", "home": str(home)}
    status: dict[str, Any] = {
        "state": "up",
        "home": str(home),
        "ui": about.url,
        "api": about.api,
        "database": about.database,
        "folder": about.folder,
        "processes": {"keeper": about.keeper_pid, **daemons_of(home)},
        "restarted": restarted_daemons(home),
    }
    try:
        status |= _seen(PrefectRest(about.api, auth_string(home)), about)
    except ServerUnreachableError as error:
        status |= {"state": "not answering", "message": str(error)}
    return status
