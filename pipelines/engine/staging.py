"""Files that a unit of work has written but not yet committed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.row_hash import digest_of_hashes, row_hashes
from schemas.storage import Folder

__all__ = ["StagedFile", "StagedTable", "part_name", "stage_parquet"]

_ROW_GROUP_ROWS = 4096
# Values of more bytes than this in the mean are long: texts, signatures. They repeat so seldom that a dictionary of
# them is given up after a MiB, and statistics would hold whole texts.
_LONG_VALUE = 128
# A reader that wants one text decompresses a page (`parquet_pages.py`): of 64 KiB, or of 16 rows where these are more.
# Arrow ends a page only between batches of so many rows. With Arrow's own pages of 1 MiB files are 7 to 12% smaller.
_PAGE_BYTES = 64 * 2**10
_PAGE_LEAST_ROWS = 16


@dataclass(frozen=True)
class StagedFile:
    """One written file; `digest` is of its rows (or token bytes), not of its encoding."""

    name: str
    rows: int
    bytes: int
    digest: str
    checksum: str = ""  # of its bytes, where readers compare them


@dataclass(frozen=True)
class StagedTable:
    """The files of one table in a work folder, ready to be committed."""

    folder: Folder
    files: tuple[StagedFile, ...] = field(default=())

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)

    def digest(self) -> str:
        """Digest of the table: of its files' digests."""
        return digest_of_hashes(bytes.fromhex(file.digest) for file in self.files)


def part_name(bucket: int) -> str:
    """File name of one bucket of a Parquet table."""
    return f"part-{bucket:05d}.parquet"


def _is_long(column: pa.ChunkedArray) -> bool:
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        return False
    return bool(column.nbytes > _LONG_VALUE * len(column))


def _leaves(field: pa.Field, path: str = "") -> Iterator[str]:
    """The columns that Parquet makes of a field, by their paths."""
    name, kind = path or field.name, field.type
    if pa.types.is_map(kind):
        yield from _leaves(kind.key_field, f"{name}.key_value.key")
        yield from _leaves(kind.item_field, f"{name}.key_value.value")
    elif pa.types.is_list(kind):
        yield from _leaves(kind.value_field, f"{name}.list.element")
    else:
        yield name


def stage_parquet(folder: Folder, name: str, table: pa.Table, sort_by: list[str] | None = None) -> StagedFile:
    """Write one Parquet file (zstd) into a work folder, rows sorted by the named columns."""
    if sort_by:
        table = table.sort_by([(column, "ascending") for column in sort_by])
    short = [leaf for field in table.schema if not _is_long(table[field.name]) for leaf in _leaves(field)]
    with folder.open_write(name) as stream:
        pq.write_table(
            table,
            stream,
            compression="zstd",
            row_group_size=_ROW_GROUP_ROWS,
            use_dictionary=short,
            write_statistics=short,
            data_page_size=_PAGE_BYTES,
            write_batch_size=_PAGE_LEAST_ROWS,
        )
        size = stream.tell()
    hashes = row_hashes(table)
    return StagedFile(name, table.num_rows, size, digest_of_hashes(hashes))
