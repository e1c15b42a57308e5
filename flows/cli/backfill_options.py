"""The options of `corpusmill backfill`, which several of its verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "BackwardsOption",
    "ConfigOption",
    "DryRunOption",
    "EvaluationsOption",
    "HtmlOption",
    "InputsOption",
    "JsonOption",
    "LocalOption",
    "MaxActiveOption",
    "MaxAttemptsOption",
    "PartitionsOption",
    "ReprocessOption",
    "RetryWaitOption",
    "RootOption",
    "RunnerOption",
    "SeedOption",
    "SeedUrlsOption",
    "SetOption",
    "SourceOption",
    "StageArgument",
    "WaitOption",
    "WorkersOption",
]

StageArgument = Annotated[str, typer.Argument(help="Which stage, or corpus for the whole chain.", show_default=False)]
RootOption = Annotated[str, typer.Option(help="The corpus: a folder, or any fsspec URL.", show_default=False)]
SourceOption = Annotated[str, typer.Option(help="Name of the source.", show_default=False)]
PartitionsOption = Annotated[
    str, typer.Option(help="FROM..TO: the last number is counted up; or a name, or several with commas.")
]
InputsOption = Annotated[
    list[str] | None,
    typer.Option("--input", help="clean, corpus: what to read; may hold {source} and {partition}; may be given often."),
]
EvaluationsOption = Annotated[
    list[str] | None,
    typer.Option("--evaluation", help="decontaminate, corpus: an evaluation set or a folder; may be given often."),
]
SeedUrlsOption = Annotated[
    list[str] | None,
    typer.Option("--seed-url", help="crawl: where to start; may hold {partition}; may be given often."),
]
ConfigOption = Annotated[str | None, typer.Option(help="A TOML file with a table for each stage.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="One setting, key=value; STAGE.key=value where STAGE is corpus; may be given often."),
]
SeedOption = Annotated[int | None, typer.Option(help="Enters every draw of the stage, if it draws anything.")]
ReprocessOption = Annotated[
    str, typer.Option(help="What to do beside missing partitions: none, failed, stale (failed too), completed (all).")
]
MaxActiveOption = Annotated[
    int | None, typer.Option(min=1, help="Units at once; or one for each core, all with Prefect.")
]
MaxAttemptsOption = Annotated[int, typer.Option(min=1, help="Attempts after which a partition is set aside.")]
BackwardsOption = Annotated[
    bool, typer.Option("--backwards", help="Last partition first, where order does not matter.")
]
RunnerOption = Annotated[str, typer.Option(help="Where pipelines run: local, flink or dataflow.")]
WorkersOption = Annotated[int | None, typer.Option(help="Worker processes of each unit; or its share of the cores.")]
RetryWaitOption = Annotated[
    float, typer.Option(min=0, help="Seconds before the first retry; then twice as long each time.")
]
LocalOption = Annotated[bool, typer.Option("--local", help="Run on this machine, without a Prefect server.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="With Prefect: stay until everything is done that can be.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
HtmlOption = Annotated[str | None, typer.Option("--html", help="Write the grid as a page to this file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")]
