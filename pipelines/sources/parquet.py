"""Parquet files with a column of text; see `row_items` for the others."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from typing import IO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.sources.items import Address, DeadItem, Item, ItemError, WorkItem
from pipelines.sources.members import most_plain_bytes
from pipelines.sources.parquet_footer import RowGroup, read_footer
from pipelines.sources.parquet_pages import dictionary_bytes, largest_page
from pipelines.sources.remote_files import open_source
from pipelines.sources.row_items import column_value, row_item
from pipelines.sources.source_format import ItemCount, RawInput, ReadSettings, SourceFormat
from pipelines.sources.thrift import PageHeaderError
from schemas.errors import CorpusmillError

__all__ = ["PARQUET", "count_parquet", "read_parquet"]

# Rows that are held in memory at a time: so many, and of no more bytes than these where several are.
_BATCH_ROWS, _BATCH_BYTES = 256, 32 * 2**20
# Without it Arrow reads all of a column chunk at once.
_BUFFER_BYTES = 2**20
# Of the largest items allowed: what the pages of one row may take, which Arrow decompresses as a whole. pyarrow writes
# up to 1,024 rows a page, however long they are.
_PAGE_ITEMS = 24


# What a damaged file makes the libraries raise.
_DAMAGE = (pa.ArrowException, OSError, PageHeaderError, UnicodeDecodeError)


class _RefusedError(CorpusmillError):
    """The rows of a row group cannot be read within the memory of a worker."""


class _Opened(NamedTuple):
    """A file with its row groups and the names of its columns."""

    file: pq.ParquetFile
    groups: list[RowGroup]
    names: list[str]


def _open(stream: IO[bytes]) -> _Opened:
    groups = read_footer(stream)
    stream.seek(0)
    file = pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES)
    if file.num_row_groups != len(groups):
        raise PageHeaderError(f"the footer has {file.num_row_groups} row groups, or {len(groups)}")
    return _Opened(file, groups, file.schema_arrow.names)


def _batches(
    opened: _Opened, stream: IO[bytes], group: int, columns: list[str], settings: ReadSettings
) -> Iterator[pa.RecordBatch]:
    """The rows of a row group, few at a time.

    Raises:
        _RefusedError: its pages are too large.
        pa.ArrowException: it is damaged, as other errors of `_DAMAGE` say.
    """
    about = opened.groups[group]
    wanted = [chunk for chunk in about.chunks if chunk.column in columns]
    stated = sum(chunk.total_uncompressed_size for chunk in wanted)
    limit = _PAGE_ITEMS * settings.max_item_bytes
    if stated > limit:
        pages = sum(largest_page(stream, chunk) for chunk in wanted)
        if pages > limit:
            raise _RefusedError(
                f"its row group has pages of {pages} bytes, {limit} are allowed ({_PAGE_ITEMS} times max_item_bytes); "
                "write the file with fewer rows a row group"
            )
    large = [chunk for chunk in wanted if chunk.total_uncompressed_size * _BATCH_ROWS > _BATCH_BYTES]
    longest = max((dictionary_bytes(stream, chunk) for chunk in large), default=0)  # one value may be that of all rows
    each = max(longest, stated // max(1, about.num_rows), 1)
    rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // each))
    yield from opened.file.iter_batches(batch_size=rows, row_groups=[group], columns=columns)


def _lengths(texts: pa.Array) -> list[int]:
    """Bytes of each text, 0 for what is none."""
    if pa.types.is_dictionary(texts.type):
        texts = texts.cast(texts.type.value_type)
    if pa.types.is_string_view(texts.type):
        texts = texts.cast(pa.large_string())
    kind = texts.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return [0] * len(texts)
    return [length or 0 for length in pc.binary_length(texts).to_pylist()]


def _text_bytes(opened: _Opened, stream: IO[bytes], settings: ReadSettings, most: int) -> int:
    """Bytes of the texts of all rows that can be read, until they are more than `most`."""
    found = 0
    for group in range(len(opened.groups)):
        try:
            for batch in _batches(opened, stream, group, [settings.columns.text], settings):
                found += sum(_lengths(batch.column(0)))
                if found > most:
                    return most
        except (*_DAMAGE, _RefusedError):
            continue  # its rows become dead letters
    return found


def count_parquet(raw: RawInput) -> ItemCount:
    """Count the rows; a file without the column of text is one item.

    Raises:
        InputError: the file cannot be read.
    """
    count = ItemCount()
    column = raw.settings.columns.text
    with raw.open_again() as stream:
        try:
            opened = _open(stream)
        except _DAMAGE:
            count.items["file"] = 1
            return count
        if opened.names.count(column) != 1:
            count.items["file"] = 1
            return count
        count.items["row"] = sum(group.num_rows for group in opened.groups)
        count.payload_bytes = _text_bytes(opened, stream, raw.settings, most_plain_bytes(raw.file.size))
    return count


def _row(batch: pa.RecordBatch, index: int, work: WorkItem, place: int, settings: ReadSettings) -> Item | DeadItem:
    url = None
    try:
        try:
            values = {name: batch.column(name)[index].as_py() for name in batch.schema.names}
        except ValueError as error:
            raise ItemError("damaged-row", f"a value cannot be decoded: {error}") from error
        url = column_value(values, settings.columns.url)
        return row_item(values, work, place, settings)
    except ItemError as error:
        address = Address(record_file=work.url, record_offset=place)
        return DeadItem(address=address, name=error.name, message=str(error), url=url)


def _rows_of_group(
    opened: _Opened,
    stream: IO[bytes],
    group: int,
    first: int,
    bytes_left: int,
    work: WorkItem,
    settings: ReadSettings,
) -> Generator[Item | DeadItem, None, int]:
    """The rows of a row group; gives back how many bytes of text the file may still have."""
    wanted = {part for name in settings.columns.model_dump().values() for part in (name, name.partition(".")[0])}
    columns = [name for name in opened.names if name in wanted and opened.names.count(name) == 1]
    place, end = first, first + opened.groups[group].num_rows
    name, problem = "damaged-row", "its row group ends early"
    try:
        for batch in _batches(opened, stream, group, columns, settings):
            for index, length in enumerate(_lengths(batch.column(settings.columns.text))):
                bytes_left -= length
                if bytes_left < 0:
                    raise _RefusedError("the rows before it take as much as only a decompression bomb does")
                if work.wants(place):
                    yield _row(batch, index, work, place, settings)
                place += 1
    except _DAMAGE as error:
        problem = f"its row group is damaged: {error}"
    except _RefusedError as error:
        name, problem = "too-large", str(error)
    for lost in range(place, end):
        if work.wants(lost):
            address = Address(record_file=work.url, record_offset=lost)
            yield DeadItem(address=address, name=name, message=problem)
    return bytes_left


def read_parquet(work: WorkItem, settings: ReadSettings) -> Iterator[Item | DeadItem]:
    """The rows of a Parquet file; each row of a row group that cannot be decoded is a dead item.

    Raises:
        InputError: the file cannot be read.
    """
    with open_source(work.url, settings.fetch) as raw:
        address = Address(record_file=work.url)
        try:
            opened = _open(raw)
        except _DAMAGE as error:
            yield DeadItem(address=address, name="damaged-file", message=str(error))
            return
        column, names = settings.columns.text, opened.names
        if names.count(column) != 1:
            how_many = "several columns" if column in names else "no column"
            message = f"{how_many} {column} among {', '.join(names)}; name the one that holds the text (columns.text)"
            yield DeadItem(address=address, name="no-text", message=message)
            return
        first, bytes_left = 0, most_plain_bytes(raw.seek(0, io.SEEK_END))
        for number, group in enumerate(opened.groups):
            bytes_left = yield from _rows_of_group(opened, raw, number, first, bytes_left, work, settings)
            first += group.num_rows


PARQUET = SourceFormat(
    name="parquet",
    matches=lambda head: head.startswith(b"PAR1"),
    count=count_parquet,
    read=read_parquet,
)
