"""`corpusmill leaderboard`: scores of many checkpoints and runs beside each other."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import print_json

__all__ = ["register"]

_HELP = """Write the leaderboard: one static HTML page on the scores of runs, and pages of their items.

It shows each score with its standard error, convention and published number, means by tag, scores against tokens seen
and against examples shown. A folder beside the page has every item of the newest checkpoints: prompt, answer, metrics.

Example: corpusmill leaderboard runs/small runs/large --suite all --out leaderboard.html"""


def _leaderboard(
    runs: Annotated[list[str], typer.Argument(help="Folders of runs that were evaluated.", show_default=False)],
    suite: Annotated[str | None, typer.Option(help="Only this suite; all where not given.")] = None,
    out: Annotated[str, typer.Option(help="The page.")] = "leaderboard.html",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")] = False,
) -> None:
    from flows.leaderboard.page import write_leaderboard

    written = write_leaderboard(runs, out, suite)
    if as_json:
        print_json({"leaderboard": written})
    else:
        typer.echo(written)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    short = "Write a page with the scores of many checkpoints and runs."
    app.command("leaderboard", help=_HELP, short_help=short)(_leaderboard)
