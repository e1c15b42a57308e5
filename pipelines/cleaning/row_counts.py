"""Counting what became of items, and seeing that none was lost."""

from __future__ import annotations

from collections import Counter

import pyarrow.parquet as pq

from pipelines.engine.staging import StagedTable
from schemas.errors import StageError
from schemas.manifest import Manifest

__all__ = ["NO_PAGES", "check_conservation", "counts_besides_rows", "items_of", "row_counts"]

# Reasons to drop items that are no pages to judge: their source or their headers say so.
NO_PAGES = ("revisit", "http-status", "content-type", "wiki-namespace", "wiki-redirect", "wiki-model")
_ROW_COUNTS = ("documents", "dropped", "dead")
_ITEMS = "items."


def _reasons(table: StagedTable, column: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for file in table.files:
        with table.folder.open_read(file.name) as stream:
            values = pq.read_table(stream, columns=[column]).column(column).to_pylist()
        counts.update(value if isinstance(value, str) else value[0] for value in values)
    return counts


def check_conservation(items: Counter[str], tables: dict[str, StagedTable]) -> None:
    """See that each item counted gave one row.

    Raises:
        StageError: items and rows differ in number.
    """
    rows = {name: table.rows for name, table in tables.items()}
    if items.total() != sum(rows.values()):
        counted = ", ".join(f"{number} {kind}" for kind, number in sorted(items.items()))
        written = ", ".join(f"{number} {name}" for name, number in rows.items())
        raise StageError(
            f"clean lost or doubled items: the census counted {items.total()} ({counted}), rows were written for "
            f"{sum(rows.values())} ({written}); nothing was committed, please report the input"
        )


def row_counts(tables: dict[str, StagedTable]) -> dict[str, int]:
    """Rows by table, and by their first failed rule or by error."""
    return {
        **{name: table.rows for name, table in tables.items()},
        **{f"dropped.{rule}": number for rule, number in sorted(_reasons(tables["dropped"], "rules").items())},
        **{f"dead.{error}": number for error, number in sorted(_reasons(tables["dead"], "error").items())},
    }


def items_of(manifest: Manifest) -> Counter[str]:
    """Items by kind, as the census of a committed partition counted them."""
    return Counter({name.removeprefix(_ITEMS): n for name, n in manifest.counts.items() if name.startswith(_ITEMS)})


def counts_besides_rows(manifest: Manifest) -> dict[str, int]:
    """What was counted of a committed partition before its rows were made."""
    return {name: n for name, n in manifest.counts.items() if name.partition(".")[0] not in _ROW_COUNTS}
