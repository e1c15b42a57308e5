"""Rows on their way to a file: spilled to the unit's work folder, so that only references are grouped.

Grouping rows themselves would hold them in the memory of the local runner at about five times their raw bytes. Here
the compute step writes rows of one (table, bucket) into temporary Arrow files and emits `(bucket, (table, reference))`;
the group step brings the references of a bucket together; the write step reads them back, sorts and writes one part
of each table.
A bundle that is tried again leaves files that nobody refers to; they go with the work folder.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from schemas.storage import Folder

__all__ = ["BucketedSpill", "NumberedRef", "SpillRef", "bucket_count", "bucket_of", "read_spills"]

# Rows kept in memory per worker before they are written out, over all tables and buckets.
_FLUSH_BYTES = 64 * 2**20
# One bucket is read, sorted and written by one worker at once: at 64 MiB of text well under 1 GiB of memory.
_BUCKET_BYTES = 64 * 2**20


@dataclass(frozen=True)
class SpillRef:
    """A temporary Arrow file that holds rows of one bucket of one table."""

    url: str
    rows: int


# What steps emit: (number, (table, reference)). Named to Beam by `with_output_types`, it has the number encoded as a
# varint; a key of type Any would be pickled, and pickles of equal keys may differ. Beam does not read annotations of
# `process` in a module that postpones them, and says nothing.
NumberedRef = tuple[int, tuple[str, SpillRef]]


def bucket_count(content_bytes: int) -> int:
    """How many buckets a partition of this many bytes is written in: a power of two, from the bytes alone."""
    wanted = max(1, -(-content_bytes // _BUCKET_BYTES))
    return 1 << (wanted - 1).bit_length()


def bucket_of(identity: bytes | None, buckets: int) -> int:
    """The bucket of an id by its leading bits, so that buckets in order hold ids in order; 0 where there is no id."""
    if identity is None:
        return 0
    return int.from_bytes(identity[:4], "big") * buckets >> 32


class BucketedSpill:
    """Collects rows by (table, bucket) and writes them out when they grow over the budget.

    One per bundle: `add` rows, yield what it returns, and yield what `flush` returns at the end of the bundle.
    """

    def __init__(self, folder: Folder, most_bytes: int = _FLUSH_BYTES) -> None:
        """Write to `folder` when more than so many bytes are pending."""
        self._folder = folder
        self._most_bytes = most_bytes
        self._pending: dict[tuple[str, int], list[pa.Table]] = {}
        self._bytes = 0

    def add(self, table_name: str, bucket: int, rows: pa.Table) -> list[tuple[int, tuple[str, SpillRef]]]:
        """Take rows in; gives the references of everything written out because of it."""
        if rows.num_rows == 0:
            return []
        self._pending.setdefault((table_name, bucket), []).append(rows)
        self._bytes += rows.nbytes
        return self.flush() if self._bytes >= self._most_bytes else []

    def flush(self) -> list[tuple[int, tuple[str, SpillRef]]]:
        """Write out all pending rows."""
        references = []
        for (table_name, bucket), tables in sorted(self._pending.items(), key=lambda item: item[0]):
            rows = pa.concat_tables(tables)
            name = f"{table_name.replace('/', '-')}-{bucket:05d}-{os.getpid()}-{uuid.uuid4().hex}.arrow"
            with (
                self._folder.open_write(name, durable=False) as stream,
                pa.ipc.new_stream(stream, rows.schema) as writer,
            ):
                writer.write_table(rows)
            references.append((bucket, (table_name, SpillRef(f"{self._folder.url}/{name}", rows.num_rows))))
        self._pending, self._bytes = {}, 0
        return references


def read_spills(references: Iterable[SpillRef]) -> Iterator[pa.Table]:
    """The rows behind references, one table a file, ordered by file so that memory use is the same each time."""
    for reference in sorted(references, key=lambda one: one.url):
        folder, _, name = reference.url.rpartition("/")
        with Folder(folder).open_read(name) as stream:
            yield pa.ipc.open_stream(stream).read_all()
