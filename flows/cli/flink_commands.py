"""`corpusmill flink up|down|status`: a Flink cluster on this machine for `--runner flink`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import print_json, working

__all__ = ["register"]

_SHORT = "A Flink cluster on this machine, for --runner flink: up, down, status."
_HELP = (
    f"{_SHORT}\n\n"
    "Flink is what stages run on when one machine is not enough; here it runs on the loopback, with one JobManager, "
    "task managers, a pool of Python workers and Beam's job server. A cluster of your own is described in the same "
    "file, cluster.json in the folder.\n\n"
    "Example: corpusmill flink up"
)
_Folder = Annotated[
    str | None,
    typer.Option(help="Folder of the cluster's files; $CORPUSMILL_FLINK or ~/.corpusmill/flink where not given."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")]


def _up(
    folder: _Folder = None,
    config: Annotated[str | None, typer.Option(help="A TOML file with a table [flink].")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, key=value; may be given often.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Start a cluster; it stays up until `corpusmill flink down`.

    Example: corpusmill flink up --set task_managers=2 --set slots=1
    """
    from flows.flink.cluster import start_cluster
    from pipelines.engine.flink.description import cluster_folder
    from schemas.configs.base import load_config
    from schemas.configs.flink import FlinkConfig

    settings = load_config(FlinkConfig, config, overrides or [])
    place = cluster_folder(folder)
    with working("flink up") as tell:
        about = start_cluster(settings, place, tell)
    if as_json:
        print_json({"state": "up", "folder": str(place), "ui": about.rest, "slots": about.slots})
        return
    where = f"web UI: {about.rest}" if about.rest else "embedded, without a web UI"
    typer.echo(f"Flink is up with {about.slots} slots; {where}")
    typer.echo("Use it: corpusmill run STAGE --runner flink …")


def _down(folder: _Folder = None, as_json: _Json = False) -> None:
    """Stop the cluster and everything that belongs to it; jobs that run on it end.

    Example: corpusmill flink down
    """
    from flows.flink.cluster import stop_cluster
    from pipelines.engine.flink.description import cluster_folder

    place = cluster_folder(folder)
    stopped = stop_cluster(place)
    if as_json:
        print_json({"state": "down", "folder": str(place), "stopped": stopped})
    else:
        typer.echo("Flink is down" if stopped else f"no Flink cluster was up in {place}")


def _status(folder: _Folder = None, as_json: _Json = False) -> None:
    """Whether a cluster is up, its slots, its processes, and which of them had to be started again.

    Example: corpusmill flink status
    """
    from flows.flink.cluster import cluster_status
    from pipelines.engine.flink.description import cluster_folder

    status = cluster_status(cluster_folder(folder))
    if as_json:
        print_json(status)
        return
    for name, value in status.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        typer.echo(f"{name.replace('_', ' '):14} {', '.join(text) if isinstance(text, list) else text}")


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(no_args_is_help=True)
    group.command("up")(_up)
    group.command("down")(_down)
    group.command("status")(_status)
    app.add_typer(group, name="flink", help=_HELP, short_help=_SHORT)
