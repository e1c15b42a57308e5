"""Rows of committed tables, one row group at a time: at most 4,096 rows are in memory, whatever the corpus."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.catalog import manifest_of
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError
from schemas.identity import HASH_BYTES, length_prefixed

__all__ = ["Place", "RowGroup", "rows_at", "text_lengths", "walk_rows"]

# Rows with their text that are in memory at a time.
_FEW_ROWS = 64

_COLUMNS = {
    "documents": ["document_id", "content_hash", "url", "scores"],
    "dropped": ["content_hash", "url", "record_id", "scores", "rules"],
}


class Place(NamedTuple):
    """Where a row lies."""

    table: str
    key: PartitionKey
    file: str
    group: int
    row: int


@dataclass(frozen=True)
class RowGroup:
    """Some columns of one row group of `documents/` or `dropped/`."""

    place: Place  # of its first row
    rows: pa.Table

    def place_of(self, row: int) -> Place:
        """Where one of its rows lies."""
        return self.place._replace(row=row)

    @cached_property
    def scores(self) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """By name of what was measured: the rows that have a value, and their values; not finite ones are left out."""
        maps = _whole(self.rows.column("scores"))
        owners = np.repeat(np.arange(len(maps)), np.diff(maps.offsets.to_numpy()))
        names = maps.keys.dictionary_encode()
        codes, values = names.indices.to_numpy(), maps.items.to_numpy(zero_copy_only=False).astype(np.float32)
        found = {}
        for code, name in enumerate(names.dictionary.to_pylist()):
            mine = (codes == code) & np.isfinite(values)
            found[name] = owners[mine], values[mine]
        return found

    @cached_property
    def failed(self) -> dict[str, NDArray[np.int64]]:
        """Of dropped rows: by rule, the rows that broke it."""
        lists = _whole(self.rows.column("rules"))
        owners = np.repeat(np.arange(len(lists)), np.diff(lists.offsets.to_numpy()))
        names = lists.values.dictionary_encode()
        codes = names.indices.to_numpy()
        return {name: owners[codes == code] for code, name in enumerate(names.dictionary.to_pylist())}

    @cached_property
    def first_failed(self) -> list[str]:
        """Of dropped rows: the rule under which each is counted."""
        return pc.list_element(self.rows.column("rules"), 0).to_pylist()  # type: ignore[no-any-return]

    @cached_property
    def identities(self) -> NDArray[np.uint64]:
        """A number for each row: of its content hash, and where there is no text, of its URL and record id."""
        hashes = self.rows.column("content_hash").to_pylist()
        if None in hashes:
            urls = self.rows.column("url").to_pylist()
            ids = self.rows.column("record_id").to_pylist() if "record_id" in self.rows.schema.names else urls
            hashes = [one or _hash_of(url, record) for one, url, record in zip(hashes, urls, ids, strict=True)]
        # The last 8 bytes: the first ones say which split a text is in.
        return np.frombuffer(b"".join(one[-8:] for one in hashes), dtype=">u8").astype(np.uint64)


def _hash_of(url: str | None, record_id: str | None) -> bytes:
    parts = length_prefixed((url or "").encode(), (record_id or "").encode())
    return hashlib.blake2b(parts, digest_size=HASH_BYTES).digest()


def _whole(column: pa.ChunkedArray) -> Any:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=column.type)


def _cannot_read(where: str, error: Exception) -> ContractError:
    return ContractError(f"{where} cannot be read: {error}; remove its manifest, then do its stage again")


def walk_rows(root: CorpusRoot, table: str, key: PartitionKey, columns: list[str] | None = None) -> Iterator[RowGroup]:
    """The row groups of a committed table, in order; nothing where it is not committed.

    Raises:
        ContractError: a file that the manifest lists is missing or damaged.
    """
    manifest = manifest_of(root, table, key)
    record = manifest.tables.get(table) if manifest else None
    folder = root.partition_folder(table, key)
    for file in record.files if record else ():
        try:
            with folder.open_read(file.name) as stream:
                parquet = pq.ParquetFile(stream)
                for group in range(parquet.num_row_groups):
                    rows = parquet.read_row_group(group, columns=columns or _COLUMNS[table])
                    yield RowGroup(Place(table, key, file.name, group, 0), rows)
        except (OSError, pa.ArrowException) as error:
            raise _cannot_read(f"{folder.url}/{file.name}", error) from error


def _batches(root: CorpusRoot, group: Place, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a row group, few at a time: texts may be long."""
    folder = root.partition_folder(group.table, group.key)
    try:
        with folder.open_read(group.file) as stream:
            parquet = pq.ParquetFile(stream)
            yield from parquet.iter_batches(_FEW_ROWS, row_groups=[group.group], columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise _cannot_read(f"{folder.url}/{group.file}", error) from error


def text_lengths(root: CorpusRoot, group: Place) -> NDArray[np.int64]:
    """Characters of each text of a row group of `documents/`.

    Raises:
        ContractError: its file is missing or damaged.
    """
    lengths = [pc.utf8_length(batch.column("text")).to_numpy() for batch in _batches(root, group, ["text"])]
    return np.concatenate([np.empty(0, np.int64), *lengths])


def rows_at(root: CorpusRoot, places: set[Place]) -> dict[Place, dict[str, Any]]:
    """Whole rows.

    Raises:
        ContractError: a file is missing or damaged.
    """
    found = {}
    for group in sorted({place._replace(row=0) for place in places}):
        wanted = {place.row for place in places if place._replace(row=0) == group}
        first = 0
        for batch in _batches(root, group):
            for row in sorted(wanted & set(range(first, first + batch.num_rows))):
                (found[group._replace(row=row)],) = batch.slice(row - first, 1).to_pylist()
            first += batch.num_rows
    return found
