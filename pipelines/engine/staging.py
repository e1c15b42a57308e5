"""Files that a unit of work has written but not yet committed."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.row_hash import digest_of_hashes, row_hashes
from schemas.storage import Folder

__all__ = ["StagedFile", "StagedTable", "part_name", "stage_parquet"]

# Rows of one row group: a reader that wants one document decodes at most this many.
_ROW_GROUP_ROWS = 4096


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


def stage_parquet(folder: Folder, name: str, table: pa.Table, sort_by: list[str] | None = None) -> StagedFile:
    """Write one Parquet file (zstd) into a work folder, rows sorted by the named columns."""
    if sort_by:
        table = table.sort_by([(column, "ascending") for column in sort_by])
    with folder.open_write(name) as stream:
        pq.write_table(table, stream, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
        size = stream.tell()
    hashes = row_hashes(table)
    return StagedFile(name, table.num_rows, size, digest_of_hashes(hashes))
