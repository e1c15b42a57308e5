"""Reading JSONL and Parquet rows: column `text` and, where there, `id`, `url`, `date`, `title`, `language`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sources.compression import codec_of, open_plain
from pipelines.sources.items import Address, DamagedInputError, DeadItem, Item, ItemError, WorkItem, parse_time
from schemas.storage import open_input

__all__ = ["read_jsonl", "read_parquet"]

_COLUMNS = ("text", "id", "url", "date", "title", "language")
# Rows that are held in memory at a time.
_BATCH_ROWS = 256


def _stated(value: Any) -> str | None:
    """A value beside the text, as text; None where there is none."""
    if value is None or isinstance(value, (dict, list)):
        return None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return str(value).encode("utf-8", "replace").decode("utf-8") or None  # no lone surrogates


def _row_item(values: dict[str, Any], work: WorkItem, place: int, limit: int) -> Item:
    address = Address(
        record_file=work.url,
        record_offset=place,
        record_id=_stated(values.get("id")),
        captured_at=parse_time(_stated(values.get("date"))),
    )
    text = values.get("text")
    if not isinstance(text, str):
        raise ItemError("no-text", f"column text holds {type(text).__name__}, not a string")
    if len(text) > limit:
        raise ItemError("too-large", f"the text has more than {limit} characters (max_item_bytes)")
    return Item(
        kind="row",
        address=address,
        url=_stated(values.get("url")),
        text=text,
        title=_stated(values.get("title")),
        language=_stated(values.get("language")),
    )


def _json_item(line: bytes, work: WorkItem, place: int, limit: int) -> Item:
    if len(line) > limit:
        raise ItemError("too-large", f"the line has more than {limit} bytes (max_item_bytes)")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ItemError("bad-json", f"the line is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise ItemError("bad-json", f"the line holds a JSON {type(values).__name__}, not an object")
    return _row_item(values, work, place, limit)


def _lines(plain: IO[bytes], limit: int) -> Iterator[tuple[int, bytes]]:
    """Place and content of each line; of one longer than `limit` no more than its beginning."""
    place = 0
    while line := plain.readline(limit + 1):
        start, place = place, place + len(line)
        rest = line
        while not rest.endswith(b"\n") and (rest := plain.readline(limit + 1)):
            place += len(rest)
        yield start, line.removesuffix(b"\n")


def read_jsonl(work: WorkItem, limit: int) -> Iterator[Item | DeadItem]:
    """The rows of a JSONL file; empty lines do not count.

    Raises:
        InputError: the file cannot be read.
    """
    place = 0
    with open_input(work.url) as raw:
        codec = codec_of(raw.read(16))
        raw.seek(0)
        try:
            for place, line in _lines(open_plain(raw, codec, work.url), limit):
                if not line.strip() or not work.wants(place):
                    continue
                try:
                    yield _json_item(line, work, place, limit)
                except ItemError as error:
                    address = Address(record_file=work.url, record_offset=place)
                    yield DeadItem(address=address, name=error.name, message=str(error))
        except DamagedInputError as error:
            if work.only is None:
                rest = Address(record_file=work.url, record_offset=place)
                yield DeadItem(address=rest, name="damaged-rest", message=f"behind byte {place}: {error}")


def _row(batch: pa.RecordBatch, index: int, work: WorkItem, place: int, limit: int) -> Item | DeadItem:
    url = None
    try:
        try:
            values = {name: batch.column(name)[index].as_py() for name in batch.schema.names}
        except ValueError as error:
            raise ItemError("damaged-row", f"a value cannot be decoded: {error}") from error
        url = _stated(values.get("url"))
        return _row_item(values, work, place, limit)
    except ItemError as error:
        address = Address(record_file=work.url, record_offset=place)
        return DeadItem(address=address, name=error.name, message=str(error), url=url)


def _rows_of_group(
    file: pq.ParquetFile, group: int, first: int, work: WorkItem, limit: int
) -> Iterator[Item | DeadItem]:
    columns = [name for name in _COLUMNS if name in file.schema_arrow.names]
    place, end = first, first + file.metadata.row_group(group).num_rows
    problem = "its row group ends early"
    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group], columns=columns):
            for index in range(batch.num_rows):
                if work.wants(place):
                    yield _row(batch, index, work, place, limit)
                place += 1
    except (pa.ArrowException, OSError) as error:
        problem = f"its row group is damaged: {error}"
    for lost in range(place, end):
        if work.wants(lost):
            address = Address(record_file=work.url, record_offset=lost)
            yield DeadItem(address=address, name="damaged-row", message=problem)


def read_parquet(work: WorkItem, limit: int) -> Iterator[Item | DeadItem]:
    """The rows of a Parquet file; each row of a row group that cannot be decoded is a dead item.

    Raises:
        InputError: the file cannot be read.
    """
    with open_input(work.url) as raw:
        address = Address(record_file=work.url)
        try:
            file = pq.ParquetFile(raw)
        except (pa.ArrowException, OSError) as error:
            yield DeadItem(address=address, name="damaged-file", message=str(error))
            return
        if "text" not in file.schema_arrow.names:
            columns = ", ".join(file.schema_arrow.names)
            yield DeadItem(address=address, name="no-text", message=f"no column text among {columns}")
            return
        first = 0
        for group in range(file.num_row_groups):
            yield from _rows_of_group(file, group, first, work, limit)
            first += file.metadata.row_group(group).num_rows
