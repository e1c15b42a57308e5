"""One door to all readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipelines.sources.archives import read_archive
from pipelines.sources.items import DeadItem, FileFormat, Item, WorkItem
from pipelines.sources.rows import read_jsonl, read_parquet
from pipelines.sources.whole_files import read_unknown, read_whole

__all__ = ["read_items"]

_READERS: dict[FileFormat, Callable[[WorkItem, int], Iterator[Item | DeadItem]]] = {
    "warc": read_archive,
    "arc": read_archive,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "html": read_whole,
    "text": read_whole,
    "unknown": read_unknown,
}


def read_items(work: WorkItem, limit: int) -> Iterator[Item | DeadItem]:
    """The items of one piece of work; never more than one in memory, none larger than `limit` bytes by much.

    Raises:
        InputError: the file cannot be read.
    """
    yield from _READERS[work.format](work, limit)
