"""`corpusmill up|down|status|deploy`: a Prefect server and workers on this machine, or one that runs elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.output import print_json, working

if TYPE_CHECKING:
    from flows.services.home import ServicesDescription

__all__ = ["register"]

_UP = "Start the Prefect server, its workers and all deployments; they stay until `corpusmill down`."
_UP_HELP = (
    f"{_UP}\n\n"
    "A second call brings deployments, limits and automations up to date. Secrets come from the environment: "
    "CORPUSMILL_DATABASE_URL for a PostgreSQL URL with its password, CORPUSMILL_WEBHOOK_URL for what is told of failed "
    "runs, brakes and spikes of the loss.\n\n"
    "Example: corpusmill up\n\n"
    "Example: corpusmill up --set port=4300 --set database=postgresql://corpusmill@db/prefect"
)
_DOWN = "Stop the Prefect server and its workers; runs are given time to save what they have."
_STATUS = "What is up: the server, its workers, its queues and what runs in them."
_DEPLOY = "Set up a Prefect server that runs elsewhere: pool, queues, limits, automations and all deployments."
_DEPLOY_HELP = (
    f"{_DEPLOY}\n\n"
    "PREFECT_API_URL says where it is, PREFECT_API_AUTH_STRING what it asks for. What is there is brought up to date. "
    "Workers are yours to start: prefect worker start --type process --pool local.\n\n"
    "Example: corpusmill deploy --set folder=/data"
)
_Home = Annotated[
    str | None,
    typer.Option(help="Folder of the server's files; $CORPUSMILL_PREFECT or ~/.corpusmill/prefect where not given."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")]


def _about(home: Path, about: ServicesDescription) -> dict[str, Any]:
    from flows.services.home import AUTH_FILE, auth_string, prefect_command

    return {
        "state": "up",
        "home": str(home),
        "ui": about.url,
        "api": about.api,
        "auth_file": str(home / AUTH_FILE) if auth_string(home) else None,
        "folder": about.folder,
        "database": about.database,
        "prefect": prefect_command(home, about),
    }


def _up(
    home: _Home = None,
    config: Annotated[str | None, typer.Option(help="A TOML file with a table [up].")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, key=value; may be given often.")
    ] = None,
    as_json: _Json = False,
) -> None:
    from flows.services.home import services_home
    from flows.services.services import start_services
    from schemas.configs.base import load_config
    from schemas.configs.up import UpConfig

    settings = load_config(UpConfig, config, overrides or [])
    place = services_home(home)
    with working("up") as tell:
        described, before = start_services(settings, place, tell)
    about = _about(place, described)
    if as_json:
        print_json({**about, "was_up": before})
        return
    typer.echo(f"Prefect {'was up already, and is up to date' if before else 'is up'}: {about['ui']}")
    if about["auth_file"]:
        typer.echo(f"  log in with what is in {about['auth_file']}")
    typer.echo(f"  flows run in {about['folder']}; history is in {about['database']}")
    typer.echo(f"  from a shell: {about['prefect']} …")
    typer.echo("Stop it with `corpusmill down`; look at it with `corpusmill status`")


def _deploy(
    config: Annotated[str | None, typer.Option(help="A TOML file with a table [up].")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, key=value; may be given often.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=1, help="Seconds in which the server has to answer and to be set up.")
    ] = 300,
    as_json: _Json = False,
) -> None:
    from flows.services.elsewhere import deploy_elsewhere
    from schemas.configs.base import load_config
    from schemas.configs.up import UpConfig

    settings = load_config(UpConfig, config, overrides or [])
    with working("deploy") as tell:
        about = deploy_elsewhere(settings, wait, tell)
    if as_json:
        print_json(about)
    else:
        typer.echo(
            f"{about['api']} is set up; flows run in {about['folder']}, trainings hold a slot of {about['limit']}"
        )


def _down(home: _Home = None, as_json: _Json = False) -> None:
    from flows.services.home import services_home
    from flows.services.services import stop_services

    place = services_home(home)
    with working("down") as tell:
        tell("waiting for runs to save what they have")
        stopped = stop_services(place)
    if as_json:
        print_json({"state": "down", "home": str(place), "stopped": stopped})
    else:
        typer.echo("Prefect is down" if stopped else f"no Prefect server was up in {place}")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "none"
    return str(value)


def _load(value: dict[str, Any]) -> str:
    return f"{value['running']} of {value['limit']}"


def _status(home: _Home = None, as_json: _Json = False) -> None:
    from flows.services.home import services_home
    from flows.services.services import services_status

    status = services_status(services_home(home))
    if as_json:
        print_json(status)
        return
    if "queues" in status:
        loads = {queue: _load(about) for queue, about in status["queues"].items()}
        status |= {"queues": loads, "gpu_slots": _load(status["gpu_slots"])}
    for name, value in status.items():
        typer.echo(f"{name.replace('_', ' '):12} {_text(value)}")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("up", help=_UP_HELP, short_help=_UP)(_up)
    app.command("deploy", help=_DEPLOY_HELP, short_help=_DEPLOY)(_deploy)
    app.command("down", help=f"{_DOWN}\n\nExample: corpusmill down", short_help=_DOWN)(_down)
    app.command("status", help=f"{_STATUS}\n\nExample: corpusmill status", short_help=_STATUS)(_status)
