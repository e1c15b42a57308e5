"""`corpusmill demo`: the whole chain on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import print_json

__all__ = ["register"]

_SHORT = "Run the whole chain on this machine, on real pages."
_HELP = (
    f"{_SHORT}\n\n"
    "Crawl, clean, deduplicate, tokenize, train, evaluate, fine-tune, report. By default it crawls the documentation "
    "of the Python that runs it, and needs no network; with CORPUS_INPUT=FOLDER (or a file, or a URL) it takes your "
    "own pages instead. What is done is not done again: after an interruption, the same command goes on.\n\n"
    "Example: corpusmill demo --root corpus/demo\n\n"
    "Example: CORPUS_INPUT=~/pages corpusmill demo"
)


def _run(
    root: Annotated[str | None, typer.Option(help="Folder of the corpus; below corpus/ where not given.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes; one per core where not given.")] = None,
    config: Annotated[str | None, typer.Option(help="A TOML file with a table for each stage.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, stage.key=value; may be given often.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")] = False,
) -> None:
    from flows.demo.run import DemoOptions, run_demo

    summary = run_demo(DemoOptions(root=root, workers=workers, config=config, overrides=overrides or ()))
    if as_json:
        print_json(summary)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("demo", help=_HELP, short_help=_SHORT)(_run)
