"""What a command writes: messages for people on stderr, results on stdout, JSON as the last line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["complain", "print_json", "print_table", "working"]


def complain(message: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"corpusmill: {' '.join(message.split())}\n")


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object as one line on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table on stdout; the first column is text, the others are numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    # Cut to the terminal's width where there is one; whole in files and pipes.
    Console(soft_wrap=not sys.stdout.isatty()).print(table)


@contextmanager
def working(what: str) -> Iterator[None]:
    """A line that moves on the terminal while the body runs; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(what, total=None)
        yield
