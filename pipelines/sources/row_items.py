"""Items of rows, whatever file they lie in: a column of text and, where there, id, URL, date, title, language."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pipelines.sources.items import Address, Item, ItemError, WorkItem, parse_time
from pipelines.sources.source_format import ReadSettings

__all__ = ["column_value", "row_item", "stated_value"]


def column_value(values: dict[str, Any], name: str) -> str | None:
    """A value beside the text, by the name of its column or, as `metadata.url`, by its place in an object; as text."""
    found: Any = values.get(name)
    if found is None and "." in name:
        found = values
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    return stated_value(found)


def stated_value(value: Any) -> str | None:
    """A value beside the text, as text; None where there is none."""
    if value is None or isinstance(value, (dict, list)):
        return None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return str(value).encode("utf-8", "replace").decode("utf-8") or None  # no lone surrogates


def row_item(values: dict[str, Any], work: WorkItem, place: int, settings: ReadSettings) -> Item:
    """The item of a row.

    Raises:
        ItemError: it has no text, or too much of it.
    """
    columns, limit = settings.columns, settings.max_item_bytes
    address = Address(
        record_file=work.url,
        record_offset=place,
        record_id=column_value(values, columns.id),
        captured_at=parse_time(column_value(values, columns.date)),
    )
    text = values.get(columns.text)
    if not isinstance(text, str):
        raise ItemError("no-text", f"column {columns.text} holds {type(text).__name__}, not a string (columns.text)")
    if len(text) > limit:
        raise ItemError("too-large", f"the text has more than {limit} characters (max_item_bytes)")
    return Item(
        kind="row",
        address=address,
        url=column_value(values, columns.url),
        text=text,
        title=column_value(values, columns.title),
        language=column_value(values, columns.language),
    )
