"""What `corpusmill backfill` prints for people: the plan, the grid, and how a run ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from flows.cli.output import complain, print_json, show_table

if TYPE_CHECKING:
    from flows.backfill.plan import Plan

__all__ = ["show_end", "show_estimate", "show_failures", "show_grid", "show_plan"]

_STYLES = {
    "done": "green",
    "running": "blue",
    "missing": "dim",
    "stale": "yellow",
    "failed": "red",
    "blocked": "magenta",
    "poisoned": "bold red",
}


def show_grid(plan: Plan) -> None:
    """The grid partition × stage; partitions that are alike share a row."""
    from rich.table import Table
    from rich.text import Text

    from flows.backfill.grid import fold, summary

    about = plan.asked.backfill
    table = Table(title=f"{about.stage} of {about.source}", title_justify="left", box=None, pad_edge=False)
    table.add_column("partitions")
    table.add_column("number", justify="right")
    for stage in plan.asked.stages:
        table.add_column(stage)
    table.add_column("reason", overflow="fold")
    for row in fold(plan):
        cells = [Text(text, _STYLES[name]) for text, name in zip(row.texts(), row.worst(), strict=True)]
        table.add_row(Text(row.name), f"{row.partitions:,}", *cells, Text(row.reason))
    show_table(table)
    typer.echo(f"{len(plan.asked.keys):,} partitions: {summary(plan)}")
    if plan.tokenizer is not None:
        made = plan.tokenizer
        typer.echo(f"tokenizer {made.key.partition}: {made.decision}" + (f", {made.reason}" if made.reason else ""))


def show_plan(plan: Plan, html: str | None, as_json: bool) -> None:
    """A plan as it was asked for.

    Raises:
        OutputError: the page cannot be written.
    """
    from flows.backfill.verbs import plan_json

    if html is not None:
        from flows.backfill.page import write_grid

        where = write_grid(plan, html)
        if not as_json:
            typer.echo(f"grid: {where}")
    if as_json:
        print_json(plan_json(plan))
        return
    show_grid(plan)
    show_estimate(plan)


def show_end(plan: Plan, messages: list[str], more: dict[str, Any], as_json: bool, over: bool) -> None:
    """How a run ended.

    Args:
        plan: as it stands now.
        messages: what failed.
        more: further counts.
        as_json: whether to print JSON.
        over: whether all that can be done was to be done by now.

    Raises:
        Exit: it was, and something is not.
    """
    from flows.backfill.verbs import plan_json

    undone = {name: number for name, number in plan.counts().items() if name != "done"}
    if as_json:
        print_json({**plan_json(plan), **more})
    else:
        show_grid(plan)
        typer.echo(", ".join(f"{name.replace('_', ' ')}: {_number(value)}" for name, value in more.items()))
        if more.get("units_waiting"):
            typer.echo(f"when these are done, the rest begins with: {plan.asked.command('resume')}")
    show_failures(messages)
    if over and undone:
        told = ", ".join(f"{number:,} {name}" for name, number in undone.items())
        complain(f"{sum(undone.values()):,} of {len(plan.asked.keys):,} partitions are not done: {told}")
        raise typer.Exit(1)


def _number(value: Any) -> str:
    if not isinstance(value, dict):
        return f"{value:,}"
    return ", ".join(f"{name} {number:,}" for name, number in value.items()) or "none"


def show_estimate(plan: Plan) -> None:
    """What a run would take, from what units of the same stage took."""
    from flows.backfill.estimate import estimate_plan
    from flows.report.numbers import as_bytes, as_duration

    found = estimate_plan(plan)
    if not found.units:
        typer.echo("nothing to do")
        return
    known = found.units - found.unknown
    text = f"to do: {found.units:,} units of work"
    if known:
        text += (
            f"; about {found.rows:,.0f} rows, {as_bytes(found.bytes)}, {found.core_seconds / 3600:.2f} core-hours, "
            f"{as_duration(found.seconds)} with {plan.asked.backfill.max_active} at once"
        )
    if found.unknown:
        text += f"; {found.unknown:,} of them of stages of which nothing is done yet to tell by"
    typer.echo(text)


def show_failures(messages: list[str]) -> None:
    """What failed, each with its cause and the command that goes on, on stderr."""
    for message in messages[:20]:
        complain(message)
    if len(messages) > 20:
        complain(f"and {len(messages) - 20} more; `corpusmill backfill status` lists all")
