"""`corpusmill dataflow check`: what `--runner dataflow` would submit, without an account."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import print_json, print_table, working

__all__ = ["register"]

_SHORT = "Google Cloud Dataflow, for --runner dataflow: check."
_HELP = (
    f"{_SHORT}\n\n"
    "Project, region, bucket and image stand in a TOML file, ~/.corpusmill/dataflow.toml or the one that "
    "$CORPUSMILL_DATAFLOW names; infra/dataflow/README.md says how the image is built.\n\n"
    "Example: corpusmill dataflow check"
)


def _check(
    config: Annotated[
        str | None, typer.Option(help="A TOML file with the settings; that of --runner dataflow where not given.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, key=value; may be given often.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")] = False,
) -> None:
    """Build every job of the data chain as Dataflow would get it, and check it; needs no account and no network.

    Example: corpusmill dataflow check --config dataflow.toml
    """
    from pipelines.engine.dataflow.settings import require_client, settings_file
    from schemas.configs.base import load_config
    from schemas.configs.dataflow import DataflowConfig

    require_client()
    file = config or (str(settings_file()) if settings_file().exists() else None)
    settings = load_config(DataflowConfig, file, overrides or [])
    with working("dataflow check") as tell:
        from flows.dataflow_check import check_jobs

        tell("building the jobs of the data chain")
        graphs = check_jobs(settings)
    if as_json:
        jobs = [{"job": g.name, "steps": g.steps, "shuffles": g.shuffles, "bytes": g.bytes} for g in graphs]
        print_json({"settings": settings.model_dump(mode="json"), "jobs": jobs})
        return
    rows = [[g.name, str(len(g.steps)), str(len(g.shuffles)), f"{g.bytes:,}"] for g in graphs]
    print_table("Jobs that Dataflow can run", ["job", "steps", "shuffles", "graph, bytes"], rows)
    typer.echo(f"image {settings.image}, {settings.machine_type} × {settings.workers} at most, {settings.region}")


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(no_args_is_help=True)
    group.command("check")(_check)
    group.callback()(lambda: None)
    app.add_typer(group, name="dataflow", help=_HELP, short_help=_SHORT)
