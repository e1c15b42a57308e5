"""JSONL: one JSON object a line; see `row_items` for its columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO

from pipelines.sources.formats import looks_like_text, without_bom
from pipelines.sources.items import Address, DamagedInputError, DeadItem, Item, ItemError, WorkItem
from pipelines.sources.row_items import row_item
from pipelines.sources.source_format import ItemCount, RawInput, ReadSettings, SourceFormat, open_content

__all__ = ["JSONL", "count_lines", "read_jsonl"]

_JSON_ROW = re.compile(rb'\s*\{[ \t]*"(?:[^"\\\n]|\\.)*"[ \t]*:')


def count_lines(raw: RawInput) -> ItemCount:
    """Count the lines that hold anything but white space.

    Raises:
        InputError: the file cannot be read.
    """
    count = ItemCount()
    open_line = 0  # bytes of the line in hand
    holds = False  # anything but white space

    def end_line() -> None:
        nonlocal open_line, holds
        count.items["row"] += holds
        count.payload_bytes += open_line if holds else 0
        open_line, holds = 0, False

    try:
        for block in raw.blocks():
            *ended, last = block.split(b"\n")
            for piece in ended:
                open_line += len(piece)
                holds = holds or bool(piece.strip())
                end_line()
            open_line += len(last)
            holds = holds or bool(last.strip())
        end_line()
    except DamagedInputError:
        count.items["rest"] += 1
    return count


def _json_item(line: bytes, work: WorkItem, place: int, settings: ReadSettings) -> Item:
    limit = settings.max_item_bytes
    if len(line) > limit:
        raise ItemError("too-large", f"the line has more than {limit} bytes (max_item_bytes)")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ItemError("bad-json", f"the line is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise ItemError("bad-json", f"the line holds a JSON {type(values).__name__}, not an object")
    return row_item(values, work, place, settings)


def _lines(plain: IO[bytes], limit: int) -> Iterator[tuple[int, bytes]]:
    """Place and content of each line; of one longer than `limit` no more than its beginning."""
    place = 0
    while line := plain.readline(limit + 1):
        start, place = place, place + len(line)
        rest = line
        while not rest.endswith(b"\n") and (rest := plain.readline(limit + 1)):
            place += len(rest)
        yield start, line.removesuffix(b"\n")


def read_jsonl(work: WorkItem, settings: ReadSettings) -> Iterator[Item | DeadItem]:
    """The rows of a JSONL file; empty lines do not count.

    Raises:
        InputError: the file cannot be read.
    """
    place = 0
    with open_content(work, settings) as plain:
        try:
            for place, line in _lines(plain, settings.max_item_bytes):
                if not line.strip() or not work.wants(place):
                    continue
                try:
                    yield _json_item(line, work, place, settings)
                except ItemError as error:
                    address = Address(record_file=work.url, record_offset=place)
                    yield DeadItem(address=address, name=error.name, message=str(error))
        except DamagedInputError as error:
            if work.only is None:
                rest = Address(record_file=work.url, record_offset=place)
                yield DeadItem(address=rest, name="damaged-rest", message=f"behind byte {place}: {error}")


JSONL = SourceFormat(
    name="jsonl",
    matches=lambda head: looks_like_text(head) and bool(_JSON_ROW.match(without_bom(head))),
    count=count_lines,
    read=read_jsonl,
)
