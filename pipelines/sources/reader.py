"""One door to all readers."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.sources.items import Address, DeadItem, Item, WorkItem
from pipelines.sources.registry import format_named
from pipelines.sources.source_format import ReadSettings

__all__ = ["read_items"]


def read_items(work: WorkItem, settings: ReadSettings) -> Iterator[Item | DeadItem]:
    """The items of one piece of work; never more than one in memory, none larger than allowed by much.

    Raises:
        InputError: the file cannot be read.
        StageError: a server does not give it.
    """
    if work.problem:
        name, message = work.problem
        yield DeadItem(address=Address(record_file=work.url), name=name, message=message)
        return
    yield from format_named(work.format).read(work, settings)
