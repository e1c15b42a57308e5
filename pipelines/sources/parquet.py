"""Parquet files with a column of text; see `row_items` for the others."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.sources.items import Address, DeadItem, Item, ItemError, WorkItem
from pipelines.sources.remote_files import open_source
from pipelines.sources.row_items import row_item, stated_value
from pipelines.sources.source_format import ItemCount, RawInput, ReadSettings, SourceFormat

__all__ = ["PARQUET", "count_parquet", "read_parquet"]

# Rows that are held in memory at a time.
_BATCH_ROWS = 256


def _text_bytes(file: pq.ParquetFile, group: int, column: str) -> int:
    try:
        batches = file.iter_batches(row_groups=[group], columns=[column])
        return sum(pc.sum(pc.binary_length(batch.column(0))).as_py() or 0 for batch in batches)
    except (pa.ArrowException, OSError):
        return 0  # its rows become dead letters


def count_parquet(raw: RawInput) -> ItemCount:
    """Count the rows; a file without the column of text is one item.

    Raises:
        InputError: the file cannot be read.
    """
    count = ItemCount()
    column = raw.settings.columns.text
    with raw.open_again() as stream:
        try:
            file = pq.ParquetFile(stream)
        except (pa.ArrowException, OSError):
            count.items["file"] = 1
            return count
        if column not in file.schema_arrow.names:
            count.items["file"] = 1
            return count
        groups = range(file.num_row_groups)
        count.items["row"] = sum(file.metadata.row_group(group).num_rows for group in groups)
        count.payload_bytes = sum(_text_bytes(file, group, column) for group in groups)
    return count


def _row(batch: pa.RecordBatch, index: int, work: WorkItem, place: int, settings: ReadSettings) -> Item | DeadItem:
    url = None
    try:
        try:
            values = {name: batch.column(name)[index].as_py() for name in batch.schema.names}
        except ValueError as error:
            raise ItemError("damaged-row", f"a value cannot be decoded: {error}") from error
        url = stated_value(values.get(settings.columns.url))
        return row_item(values, work, place, settings)
    except ItemError as error:
        address = Address(record_file=work.url, record_offset=place)
        return DeadItem(address=address, name=error.name, message=str(error), url=url)


def _rows_of_group(
    file: pq.ParquetFile, group: int, first: int, work: WorkItem, settings: ReadSettings
) -> Iterator[Item | DeadItem]:
    wanted = set(settings.columns.model_dump().values())
    columns = [name for name in file.schema_arrow.names if name in wanted]
    place, end = first, first + file.metadata.row_group(group).num_rows
    problem = "its row group ends early"
    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group], columns=columns):
            for index in range(batch.num_rows):
                if work.wants(place):
                    yield _row(batch, index, work, place, settings)
                place += 1
    except (pa.ArrowException, OSError) as error:
        problem = f"its row group is damaged: {error}"
    for lost in range(place, end):
        if work.wants(lost):
            address = Address(record_file=work.url, record_offset=lost)
            yield DeadItem(address=address, name="damaged-row", message=problem)


def read_parquet(work: WorkItem, settings: ReadSettings) -> Iterator[Item | DeadItem]:
    """The rows of a Parquet file; each row of a row group that cannot be decoded is a dead item.

    Raises:
        InputError: the file cannot be read.
    """
    with open_source(work.url, settings.fetch) as raw:
        address = Address(record_file=work.url)
        try:
            file = pq.ParquetFile(raw)
        except (pa.ArrowException, OSError) as error:
            yield DeadItem(address=address, name="damaged-file", message=str(error))
            return
        column, names = settings.columns.text, file.schema_arrow.names
        if column not in names:
            message = f"no column {column} among {', '.join(names)}; name the one that holds the text (columns.text)"
            yield DeadItem(address=address, name="no-text", message=message)
            return
        first = 0
        for group in range(file.num_row_groups):
            yield from _rows_of_group(file, group, first, work, settings)
            first += file.metadata.row_group(group).num_rows


PARQUET = SourceFormat(
    name="parquet",
    matches=lambda head: head.startswith(b"PAR1"),
    count=count_parquet,
    read=read_parquet,
)
