"""`corpusmill run STAGE`: one stage, no orchestrator."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.dedup_commands import dedup_remarks
from flows.cli.output import print_json, print_table, working

if TYPE_CHECKING:
    from pipelines.engine.stage import StageRequest

__all__ = ["register", "show_mixture", "show_units", "total_counts"]

# The names are repeated here so that `--help` imports no stage; a test compares them with the registry.
_SHORT = "Run one stage: crawl, clean, dedup, decontaminate, tokenizer, tokenize, mix, heldout or quality."
_HELP = (
    f"{_SHORT}\n\n"
    "A unit of work (the stage on one partition) that is done already, with the same settings and inputs, is skipped. "
    "crawl and clean make a partition and want --source and --partition; the others work on every partition in the "
    "corpus, or on the one that these two name. Settings come from --config, from its table named after the stage, "
    "then from --set.\n\n"
    "Example: corpusmill run clean --input pages.warc.gz --root corpus --source web --partition 2026-30"
)


def total_counts(outcomes: list[dict[str, Any]]) -> dict[str, int]:
    """What was counted, over partitions; a count that several units of one partition state is one count."""
    by_partition: dict[tuple[str, str], dict[str, int]] = {}
    for outcome in outcomes:
        by_partition.setdefault((outcome["source"], outcome["partition"]), {}).update(outcome["counts"])
    totals: Counter[str] = Counter()
    for counts in by_partition.values():
        totals.update(counts)
    return dict(totals)


def show_units(stage: str, outcomes: list[dict[str, Any]]) -> None:
    """The units of a stage for people: rows of each table, seconds, and everything that was counted."""
    if not outcomes:
        typer.echo(f"{stage}: nothing to do")
        return
    rows = [
        [
            f"{outcome['source']}/{outcome['partition']}".rstrip("/") + f"  {', '.join(outcome['rows'])}",
            "done" if outcome["status"] == "done" else "done before",
            ", ".join(f"{number:,}" for number in outcome["rows"].values()),
            f"{outcome['seconds']:.1f}",
        ]
        for outcome in outcomes
    ]
    print_table(stage, ["unit", "status", "rows", "seconds"], rows)
    counted = [[name, f"{number:,}"] for name, number in total_counts(outcomes).items() if number]
    notes = [(name, value) for outcome in outcomes for name, value in outcome.get("notes", {}).items()]
    shown = dict.fromkeys((name, f"{value:g}") for name, value in notes if isinstance(value, float))
    counted += [[name, value] for name, value in shown]
    if counted:
        print_table("", ["counted", "number"], counted)
    for outcome in outcomes:
        show_mixture(outcome.get("notes", {}))


def show_mixture(notes: dict[str, Any]) -> None:
    """The table of a mixture, and beside it the published one where a preset was asked for; else nothing."""
    rows = [
        [
            f"{row['source']}" + (f" (phase {row['phase']})" if row["phase"] else ""),
            f"{row['tokens']:,}",
            f"{row['weight']:.1%}",
            f"{row['samples']:,}",
            f"{row['epochs']:.2f}",
        ]
        for row in notes.get("epochs", [])
    ]
    if rows:
        print_table("", ["source", "tokens", "weight", "windows", "epochs"], rows)
    published = notes.get("published")
    if published:
        rows = [
            [
                f"{row['row']} ({row['source']})",
                f"{row['tokens_billions']:g}",
                f"{row['weight_percent']:g}",
                f"{row['weight']:.1%}",
                f"{row['epochs']:g}" + (" *" if row["row"] in published["disagreeing"] else ""),
                f"{row['epochs_that_follow']:.2f}",
            ]
            for row in published["rows"]
        ]
        columns = ["published", "billion tokens", "weight", "normalized", "epochs printed", "epochs that follow"]
        print_table(f"for {published['trained_billions']:g} billion tokens", columns, rows)
        typer.echo(
            f"* does not follow from size and weight, however these were rounded: {', '.join(published['disagreeing'])}"
        )


def _perform(name: str, request: StageRequest[Any]) -> dict[str, Any]:
    from flows.registry import stage_entry
    from flows.run_log import open_run_log
    from flows.stage_result import stage_result_json

    with open_run_log(request.root, stage=name, source=request.source, partition=request.partition) as log:
        log.info("begun", extra={"config": request.config.model_dump(mode="json"), "workers": request.engine.workers})
        with working(name) as tell:
            told = replace(request, engine=replace(request.engine, on_progress=tell))
            result = stage_result_json(stage_entry(name).run(told))
        for unit in result["units"]:
            log.info("unit", extra=unit)
    return result


def _run(
    stage: Annotated[str, typer.Argument(help="Which stage.", show_default=False)],
    root: Annotated[str, typer.Option(help="The corpus: a folder, or any fsspec URL.", show_default=False)],
    source: Annotated[str | None, typer.Option(help="Name of the source.")] = None,
    partition: Annotated[str | None, typer.Option(help="Name of the partition.")] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="clean, decontaminate: a file or folder to read; may be given often."),
    ] = None,
    seed_urls: Annotated[
        list[str] | None, typer.Option("--seed-url", help="crawl: where to start; may be given often.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes, slots of Flink, machines of Dataflow; or all.")
    ] = None,
    runner: Annotated[
        str, typer.Option(help="Where pipelines run: local, flink or dataflow; these two have commands of their own.")
    ] = "local",
    config: Annotated[str | None, typer.Option(help="A TOML file with a table named after the stage.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, key=value; may be given often.")
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="tokenizer: make another beside a frozen one, with the next free number.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Enters every draw of the stage, if it draws anything.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")] = False,
) -> None:
    from flows.stage_request import build_request, require_writable

    started = time.monotonic()
    request = build_request(
        stage,
        root,
        source=source,
        partition=partition,
        inputs=inputs or (),
        workers=workers,
        runner=runner,
        config=config,
        overrides=[*(overrides or ()), *(["retrain=true"] if retrain else ())],
        seed=seed,
        seed_urls=seed_urls or (),
    )
    require_writable(request.root)
    result = _perform(stage, request)
    if as_json:
        print_json({**result, "seconds": round(time.monotonic() - started, 3)})
        return
    show_units(stage, result["units"])
    for line in dedup_remarks(result) if stage == "dedup" else ():
        typer.echo(line)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("run", help=_HELP, short_help=_SHORT)(_run)
