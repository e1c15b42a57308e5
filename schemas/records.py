"""Rows of JSONL and Parquet files as texts, by templates such as `Question: {question}`.

The format is told by content. A template names columns in braces; other braces stand for themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import IO, Annotated, Any, NamedTuple

from pydantic import AfterValidator

from schemas.errors import InputError
from schemas.foreign_text import parse_json
from schemas.storage import open_input

__all__ = ["COLUMN_PLACE", "ColumnTemplate", "Record", "fill_template", "read_records"]

COLUMN_PLACE = re.compile(r"\{(\w+)\}")
_PARQUET = b"PAR1"
_ROWS_AT_ONCE = 4096
_PLAIN = (str, int, float, bool)


class Record(NamedTuple):
    """One row, and where it stands, for messages."""

    where: str
    values: Mapping[str, Any]


def _names_a_column(template: str) -> str:
    if not COLUMN_PLACE.search(template):
        raise ValueError(f"{template!r} names no column, so all texts would be alike; write {{column}}")
    return template


ColumnTemplate = Annotated[str, AfterValidator(_names_a_column)]


def fill_template(template: str, record: Record) -> str:
    """The text of a template with a row's values in place of its columns.

    Raises:
        InputError: the row lacks a column, or has no plain value in it.
    """
    for name in COLUMN_PLACE.findall(template):
        if name not in record.values:
            there = ", ".join(record.values) or "none"
            raise InputError(
                f"{record.where}: no column {name!r} for the template {template!r}; its columns are: {there}"
            )
        if not isinstance(record.values[name], _PLAIN):
            kind = type(record.values[name]).__name__
            raise InputError(f"{record.where}: column {name!r} holds {kind}; give a text or a number")
    return COLUMN_PLACE.sub(lambda place: str(record.values[place[1]]), template)


def _json_rows(url: str, stream: IO[bytes]) -> Iterator[Record]:
    for number, raw in enumerate(stream, start=1):
        where = f"{url} line {number}"
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: not UTF-8 ({error.reason}); save the file as UTF-8") from error
        if not text:
            continue
        try:
            values = parse_json(text)
        except ValueError as error:
            raise InputError(f"{where}: no JSON ({error}); give one JSON object a line, or Parquet") from error
        if not isinstance(values, dict):
            raise InputError(f"{where}: a JSON {type(values).__name__}; give one JSON object a line")
        yield Record(where, values)


def _parquet_rows(url: str, stream: IO[bytes]) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        for batch in pq.ParquetFile(stream).iter_batches(_ROWS_AT_ONCE):
            for values in batch.to_pylist():
                number += 1
                yield Record(f"{url} row {number}", values)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{url} is damaged Parquet after row {number}: {error}; copy it again") from error


def read_records(url: str) -> Iterator[Record]:
    """The rows of a JSONL or Parquet file; blank lines do not count.

    Raises:
        InputError: the file cannot be read, has no row, or a line is no JSON object; file and line are named.
    """
    empty = True
    with open_input(url) as stream:
        is_parquet = stream.read(len(_PARQUET)) == _PARQUET
        stream.seek(0)
        for record in (_parquet_rows if is_parquet else _json_rows)(url, stream):
            empty = False
            yield record
    if empty:
        raise InputError(f"{url} has no row; give JSON objects, one a line, or Parquet")
