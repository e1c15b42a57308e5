"""`corpusmill doctor`: looks for known traps on this machine, and says what to do about each."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from flows.cli.output import existing_corpus, print_json, working

__all__ = ["register"]

_SHORT = "Look for known traps on this machine, and say what to do about each."
_HELP = (
    f"{_SHORT}\n\n"
    "Python, limits and disks; settings of Prefect that lead elsewhere; the server of `corpusmill up` and what is set "
    "up and goes on in it; the Flink cluster; with --root, what killed runs have left in a corpus. Nothing is changed. "
    "Exits with 0 where nothing failed; warnings alone are no failure.\n\n"
    "Example: corpusmill doctor --root corpus"
)


def _doctor(
    root: Annotated[str | None, typer.Option(help="A corpus to look at too.")] = None,
    home: Annotated[str | None, typer.Option(help="Folder of the Prefect server; see `corpusmill up --help`.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")] = False,
) -> None:
    from flows.doctor.examination import examine
    from flows.doctor.finding import Patient
    from flows.services.home import services_home
    from pipelines.engine.flink.description import cluster_folder

    patient = Patient(services_home(home), cluster_folder(), existing_corpus(root) if root else None)
    with working("doctor") as tell:
        findings = examine(patient, tell)
    failed = [one.name for one in findings if one.result == "fail"]
    if as_json:
        print_json({"checks": [asdict(one) for one in findings], "failed": failed})
    else:
        width = max(len(one.name) for one in findings)
        for one in findings:
            typer.echo(f"{one.result:4}  {one.name:{width}}  {one.seen}")
            if one.remedy:
                met = f" [{', '.join(one.issues)}]" if one.issues else ""
                typer.echo(f"{'':4}  {'':{width}}  → {one.remedy}{met}")
        warned = sum(one.result == "warn" for one in findings)
        typer.echo(f"{len(findings)} checks: {len(failed)} failed, {warned} with a warning")
    if failed:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("doctor", help=_HELP, short_help=_SHORT)(_doctor)
