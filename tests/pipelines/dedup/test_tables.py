"""Tables made of decisions."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa

from pipelines.dedup.decisions import LEVELS, Fates
from pipelines.dedup.tables import clusters_table, duplicates_table
from schemas.corpus_root import PartitionKey
from schemas.tables import ID

ORDER = [PartitionKey("web", "1"), PartitionKey("books", "2024/a")]
KEPT = b"k" * 16
# The same id in another partition is another keeper.
KEEPERS = pa.table({"order": pa.array([0, 1]), "document_id": pa.array([KEPT, KEPT], ID)})
IDS = pa.chunked_array([pa.array([b"1" * 16, b"2" * 16, b"3" * 16], ID)])
FATES = Fates(
    np.array([0, 0, 1]),
    np.array([LEVELS.index("exact"), LEVELS.index("near"), LEVELS.index("near")], dtype=np.int8),
    np.array([1.0, 0.875, 0.9]),
    np.array([-1, 3, 0], dtype=np.int32),
)


def rows() -> pa.Table:
    return duplicates_table(IDS, FATES, KEEPERS, ORDER, 1, "config-1")


def test_rows_of_duplicates() -> None:
    found = rows().to_pylist()
    assert found[1] == {
        "removed_id": b"2" * 16,
        "removed_source": "books",
        "removed_partition": "2024/a",
        "kept_id": KEPT,
        "kept_source": "web",
        "kept_partition": "1",
        "similarity": 0.875,
        "level": "near",
        "band": 3,
        "config": "config-1",
    }
    assert [row["band"] for row in found] == [None, 3, 0]
    assert [row["kept_source"] for row in found] == ["web", "web", "books"]


def test_clusters_count_copies_by_keeper_and_skip_missing_dates() -> None:
    days = [None, *(datetime.datetime(2026, 5, day, tzinfo=datetime.UTC) for day in (1, 2))]
    seen = pa.chunked_array([pa.array(days, pa.timestamp("us", tz="UTC"))])
    found = sorted(clusters_table(rows(), seen).to_pylist(), key=lambda row: -row["copies"])
    assert [(row["kept_source"], row["copies"], row["first_seen"], row["last_seen"]) for row in found] == [
        ("web", 2, days[1], days[1]),
        ("books", 1, days[2], days[2]),
    ]
    assert [row["sources"] for row in found] == [["books"], ["books"]]


def test_no_decisions_no_rows() -> None:
    none = duplicates_table(IDS.slice(0, 0), Fates.all_stay(0), KEEPERS, ORDER, 0, "c")
    assert none.num_rows == 0
    seen = pa.chunked_array([pa.array([], pa.timestamp("us", tz="UTC"))])
    assert clusters_table(none, seen).num_rows == 0
