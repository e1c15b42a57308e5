"""Which rows of a corpus are about pages on the list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from pipelines.cleaning.url_key import url_key
from schemas.catalog import iterate_table, units
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.takedown import TAKEDOWN_RULE, TakedownList

__all__ = ["TakenRow", "is_taken", "taken_rows"]

# What each table has of the columns that say which page a row is about, and where it came from.
_COLUMNS = {
    "documents": ["url_key", "document_id", "url", "record_file", "record_offset"],
    "dropped": ["url_key", "document_id", "url", "record_file", "record_offset", "rules"],
    "dead": ["url", "record_file", "record_offset"],
}


class TakenRow(NamedTuple):
    """A row about a page on the list, and the raw record that it was made of."""

    table: str
    key: PartitionKey
    document_id: bytes | None
    url_key: str | None
    url: str | None
    record_file: str | None
    record_offset: int | None


def is_taken(rows: pa.Table, takedowns: TakedownList) -> list[bool]:
    """For each row of `documents/`, `dropped/` or `dead/`, whether it is to become the row of a takedown.

    A row that is one already is left as it is.
    """
    names = rows.column_names
    urls = rows.column("url").to_pylist()
    keys = rows.column("url_key").to_pylist() if "url_key" in names else [url_key(url) for url in urls]
    ids = rows.column("document_id").to_pylist() if "document_id" in names else [None] * len(keys)
    rules = rows.column("rules").to_pylist() if "rules" in names else [None] * len(keys)
    return [
        rule != [TAKEDOWN_RULE] and (takedowns.has_url(key) or takedowns.has_id(one))
        for key, one, rule in zip(keys, ids, rules, strict=True)
    ]


def _row(table: str, key: PartitionKey, row: dict[str, Any]) -> TakenRow:
    return TakenRow(
        table,
        key,
        row.get("document_id"),
        row["url_key"] if "url_key" in row else url_key(row["url"]),
        row["url"],
        row["record_file"],
        row["record_offset"],
    )


def taken_rows(
    root: CorpusRoot, takedowns: TakedownList, keys: Sequence[PartitionKey] | None = None
) -> Iterator[TakenRow]:
    """Rows of all (or the given) partitions that are to become rows of takedowns; reads no text.

    Raises:
        ContractError: a file that a manifest lists is missing or damaged.
    """
    for key in units(root, "documents") if keys is None else keys:
        for table, columns in _COLUMNS.items():
            for part in iterate_table(root, table, key, columns):
                chosen = part.filter(pa.array(is_taken(part, takedowns), pa.bool_()))
                yield from (_row(table, key, row) for row in chosen.to_pylist())
