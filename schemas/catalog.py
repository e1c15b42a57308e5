"""Reading committed tables: only files that a manifest lists exist for a reader."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError, InputError
from schemas.manifest import Manifest, read_manifest
from schemas.tables import TABLES

__all__ = ["iterate_table", "manifest_of", "manifest_table", "read_table", "require_manifest", "units"]

_WORTH_THREADS = 8 * 2**20  # bytes of a file; below, handing columns to other threads costs as much as it saves

# The manifest of a unit lies in the folder of its stage's first table.
_FIRST_TABLE = {
    "dropped": "documents",
    "dead": "documents",
    "bands": "edges",
    "clusters": "duplicates",
    "ngram_counts": "overlaps",
    "item_overlaps": "contaminated",
}


def manifest_table(table: str) -> str:
    """The table in whose folder the manifest of `table` lies (`tokens/<tokenizer>/train` for every split)."""
    if table.startswith("tokens/"):
        return table.rpartition("/")[0] + "/train"
    return _FIRST_TABLE.get(table, table)


def manifest_of(root: CorpusRoot, table: str, key: PartitionKey) -> Manifest | None:
    """The manifest of the unit that wrote `table` of this partition; None where it is not done."""
    return read_manifest(root.partition_folder(manifest_table(table), key))


def require_manifest(root: CorpusRoot, table: str, key: PartitionKey) -> Manifest:
    """As `manifest_of`.

    Raises:
        InputError: the unit is not done.
    """
    manifest = manifest_of(root, table, key)
    if manifest is None:
        raise InputError(f"no {table} of {key} in {root.url}; run the stage that writes {table} first")
    return manifest


def units(root: CorpusRoot, table: str) -> list[PartitionKey]:
    """Partitions in which `table` is committed, in partition order."""
    return root.partitions(manifest_table(table))


def iterate_table(
    root: CorpusRoot, table: str, key: PartitionKey, columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """The files of a committed Parquet table, one `pa.Table` a file, in file order; nothing where none is committed.

    Raises:
        ContractError: a file that the manifest lists is missing or damaged.
    """
    manifest = manifest_of(root, table, key)
    record = manifest.tables.get(table) if manifest else None
    if record is None:
        return
    folder = root.partition_folder(table, key)
    for file in record.files:
        try:
            with folder.open_arrow(file.name) as stream:
                parquet = pq.ParquetFile(stream)
                part = parquet.read(columns=columns, use_threads=file.bytes > _WORTH_THREADS)
                part = part if columns is None else part.select(columns)
        except (OSError, pa.ArrowInvalid, KeyError) as error:
            where = f"{folder.url}/{file.name}"
            raise ContractError(f"{where} cannot be read: {error}; remove its manifest, then do its stage") from error
        yield part


def read_table(root: CorpusRoot, table: str, key: PartitionKey, columns: list[str] | None = None) -> pa.Table:
    """A whole committed table of one partition; an empty table where it is not committed."""
    parts = list(iterate_table(root, table, key, columns))
    if parts:
        return pa.concat_tables(parts)
    schema = TABLES[table]
    return (pa.schema([schema.field(name) for name in columns]) if columns is not None else schema).empty_table()
