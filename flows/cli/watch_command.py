"""`corpusmill watch on|off|list`: when the server looks for new snapshots of Common Crawl, and for which corpora."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import print_json, print_table

if TYPE_CHECKING:
    from schemas.configs.flows import WatchSnapshotsParameters

__all__ = ["register"]

_SHORT = "Look for new snapshots of Common Crawl by a schedule: on, off, list."
_HELP = (
    f"{_SHORT}\n\n"
    "The server that `corpusmill up` keeps runs the flow watch-snapshots at the times that you give: it builds what "
    "the corpus has not of each snapshot. A look that comes while another one builds is cancelled.\n\n"
    "Example: corpusmill watch on --root corpus --cron '0 6 * * 1' --timezone UTC"
)
_SOURCE = "common_crawl"
_Root = Annotated[str, typer.Option(help="The corpus: a folder, or any fsspec URL.", show_default=False)]
_Source = Annotated[str, typer.Option(help="Name of the source that snapshots are added to.")]
_Home = Annotated[str | None, typer.Option(help="The server's home, as `corpusmill up` has it.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")]


def _absolute(place: str) -> str:
    """The place as a worker finds it, whatever folder it runs in."""
    return place if "://" in place or not place else str(Path(place).absolute())


def _parameters(root: str, source: str, overrides: list[str]) -> WatchSnapshotsParameters:
    """The parameters of the flow.

    Raises:
        ConfigError: one is wrong; the message names it.
    """
    from pydantic import ValidationError

    from schemas.configs.base import parse_overrides
    from schemas.configs.flows import WatchSnapshotsParameters
    from schemas.errors import ConfigError

    given = parse_overrides(overrides)
    if "config" in given:
        given["config"] = _absolute(str(given["config"]))
    try:
        return WatchSnapshotsParameters(**{**given, "root": _absolute(root), "source": source})
    except ValidationError as error:
        first = error.errors()[0]
        known = ", ".join(WatchSnapshotsParameters.model_fields)
        raise ConfigError(
            f"watch: {'.'.join(map(str, first['loc']))}: {first['msg']}, got {first['input']!r:.80}; parameters are "
            f"{known}"
        ) from error


def _connect(home: str | None) -> None:
    from flows.services.home import connect

    connect(home)


def _on(
    root: _Root,
    source: _Source = _SOURCE,
    cron: Annotated[str, typer.Option(help="When to look: minute, hour, day, month, day of the week.")] = "0 6 * * 1",
    timezone: Annotated[str, typer.Option(help="The zone of these times, by name.")] = "UTC",
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter of the flow, such as slices=4; may be given often."),
    ] = None,
    home: _Home = None,
    as_json: _Json = False,
) -> None:
    """Look at these times from now on, in place of the times before.

    Example: corpusmill watch on --root corpus --cron '0 6 * * 1' --timezone Europe/Berlin --set slices=4
    """
    parameters = _parameters(root, source, overrides or [])
    _connect(home)
    from flows.watch_schedule import set_watch

    set_watch(parameters, cron, timezone)
    if as_json:
        print_json({"state": "on", "root": parameters.root, "source": source, "cron": cron, "timezone": timezone})
    else:
        typer.echo(f"Looking for snapshots for {source} in {parameters.root} at '{cron}' in {timezone}")


def _off(root: _Root, source: _Source = _SOURCE, home: _Home = None, as_json: _Json = False) -> None:
    """Look no more for a corpus and source; what was built stays.

    Example: corpusmill watch off --root corpus
    """
    place = _absolute(root)
    _connect(home)
    from flows.watch_schedule import unset_watch

    was_on = unset_watch(place, source)
    if as_json:
        print_json({"state": "off", "root": place, "source": source, "was_on": was_on})
    else:
        typer.echo(f"{'Looking no more' if was_on else 'Nobody looked'} for snapshots for {source} in {place}")


def _list(home: _Home = None, as_json: _Json = False) -> None:
    """Which corpora are looked after, and when.

    Example: corpusmill watch list
    """
    _connect(home)
    from flows.watch_schedule import list_watches

    watches = list_watches()
    if as_json:
        print_json({"watches": watches})
    elif watches:
        columns = ["corpus", "source", "cron", "timezone", "active"]
        rows = [[one["root"], one["source"], one["cron"], one["timezone"], str(one["active"])] for one in watches]
        print_table("", columns, rows)
    else:
        typer.echo("no corpus is looked after; `corpusmill watch on --root CORPUS` begins")


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(no_args_is_help=True)
    group.command("on")(_on)
    group.command("off")(_off)
    group.command("list")(_list)
    app.add_typer(group, name="watch", help=_HELP, short_help=_SHORT)
