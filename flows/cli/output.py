"""What a command writes: messages for people on stderr, results on stdout, JSON as the last line."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from schemas.corpus_root import CorpusRoot

__all__ = ["complain", "existing_corpus", "print_json", "print_table", "show_table", "working"]

_LINE_SECONDS = 2.0
_WIDEST = 100_000  # characters; a table takes what its cells take


def complain(message: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"corpusmill: {' '.join(message.split())}\n")


def existing_corpus(url: str) -> CorpusRoot:
    """The corpus at a path or URL that the user gave.

    Raises:
        InputError: there is none.
    """
    from schemas.corpus_root import CorpusRoot
    from schemas.errors import InputError

    root = CorpusRoot(url)
    if not root.folder.exists():
        raise InputError(f"no corpus in {url}; give a folder that `corpusmill run` has written")
    return root


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object as one line on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table on stdout; the first column is text, the others are numbers."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    show_table(table)


def show_table(table: Table) -> None:
    """A table on stdout, cut to the terminal's width where there is one, whole in files and pipes."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _WIDEST).print(table)


class _ProgressLines:
    """Writes what it is told as lines on stderr, at most one in so many seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._next = 0.0

    def tell(self, text: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _LINE_SECONDS
            sys.stderr.write(f"{self._what}  {text}\n")
            sys.stderr.flush()


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show on stderr that the body runs: a line that moves on a terminal, else a line now and then.

    Gives a function that takes what there is to tell beside the name.
    """
    if not sys.stderr.isatty():
        yield _ProgressLines(what).tell
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda text: progress.update(task, description=f"{what}  {text}")
