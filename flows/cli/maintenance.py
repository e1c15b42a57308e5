"""`corpusmill digest|replay|gc|report`: looking at a corpus and keeping it in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import typer

from flows.cli.output import existing_corpus, print_json, working
from flows.cli.run_command import show_units

__all__ = ["register"]

_Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")]


def _digest(
    root: Annotated[str, typer.Argument(help="The corpus.", show_default=False)], as_json: _Json = False
) -> None:
    from pipelines.corpus_digest import corpus_digest

    digest = corpus_digest(existing_corpus(root))
    if as_json:
        print_json({"digest": digest.total, "tables": digest.by_table})
        return
    for table, part in digest.by_table.items():
        typer.echo(f"{part}  {table}")
    typer.echo(digest.total)


def _replay(
    root: Annotated[str, typer.Option(help="The corpus.", show_default=False)],
    error: Annotated[str | None, typer.Option(help="Only dead letters of this error; all where not given.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Worker processes, slots of Flink, machines of Dataflow; or all."),
    ] = None,
    runner: Annotated[str, typer.Option(help="Where pipelines run: local, flink or dataflow.")] = "local",
    as_json: _Json = False,
) -> None:
    from flows.run_log import open_run_log
    from flows.stage_request import choose_engine, reachable
    from flows.stage_result import stage_result_json
    from pipelines.cleaning.replay import replay

    corpus, engine = existing_corpus(reachable(root, runner)), choose_engine(runner, workers)
    with open_run_log(corpus, command="replay", error=error) as log, working("replay") as tell:
        result = stage_result_json(replay(corpus, replace(engine, on_progress=tell), error))
        for unit in result["units"]:
            log.info("unit", extra=unit)
    if as_json:
        print_json(result)
    else:
        show_units("replay", result["units"])


def _gc(
    root: Annotated[str, typer.Option(help="The corpus.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: _Json = False,
) -> None:
    from pipelines.garbage import collect

    paths = collect(existing_corpus(root), dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "removed": paths})
        return
    for path in paths:
        typer.echo(path)
    typer.echo(f"{len(paths)} files {'would go' if dry_run else 'went'}")


def _report(
    root: Annotated[str, typer.Argument(help="The corpus.", show_default=False)],
    run: Annotated[str | None, typer.Option(help="Folder of a training run.")] = None,
    finetune_run: Annotated[str | None, typer.Option(help="Folder of a fine-tuning run.")] = None,
    funnel: Annotated[
        bool, typer.Option("--funnel", help="The funnel page instead: losses, values and samples by rule.")
    ] = False,
    out: Annotated[str | None, typer.Option(help="The page; report.html or funnel.html in the corpus.")] = None,
    as_json: _Json = False,
) -> None:
    from flows.funnel_report.page import write_funnel_report
    from flows.report.page import write_report
    from schemas.errors import ConfigError

    corpus = existing_corpus(root)
    if funnel and (run or finetune_run):
        raise ConfigError("--funnel is a page on documents alone; leave out --run and --finetune-run")
    written = write_funnel_report(corpus.url, out) if funnel else write_report(corpus.url, run, finetune_run, out)
    if as_json:
        print_json({"report": written})
    else:
        typer.echo(written)


_TEXTS = {
    "digest": (
        "One hash of all rows and tokens of a corpus.",
        "Two corpora with equal digests hold the same rows, however they were made. Before the hash of the whole comes "
        "one for each table, to find where two corpora part.",
        "corpusmill digest corpus",
    ),
    "replay": (
        "Run the items behind dead letters again, and them alone.",
        "After a fix of the program or of its settings: items that pass now move from dead/ to documents/ or dropped/.",
        "corpusmill replay --root corpus --error truncated-record",
    ),
    "gc": (
        "Remove files that nothing refers to: what killed runs left behind.",
        "Files that a manifest lists, and files that a live run works on, stay.",
        "corpusmill gc --root corpus --dry-run",
    ),
    "report": (
        "Write the report: one static HTML page on a corpus and its model.",
        "It shows the funnel, duplicates, tokens, losses, scores, samples, and time and memory of each step. With "
        "--funnel it is about documents alone: what each rule removed and measured, and pages it kept and dropped.",
        "corpusmill report corpus --run corpus/runs/first",
    ),
}


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    commands: dict[str, Callable[..., None]] = {
        "digest": _digest,
        "replay": _replay,
        "gc": _gc,
        "report": _report,
    }
    for name, command in commands.items():
        short, more, example = _TEXTS[name]
        app.command(name, help=f"{short}\n\n{more}\n\nExample: {example}", short_help=short)(command)
