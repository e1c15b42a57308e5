"""Tables made of decisions."""

from __future__ import annotations

import datetime

from pipelines.dedup.decisions import Fate, Member
from pipelines.dedup.tables import clusters_table, duplicates_table
from schemas.corpus_root import PartitionKey

ORDER = [PartitionKey("web", "1"), PartitionKey("books", "2024/a")]
KEPT = b"k" * 16
FATES = {
    Member(1, b"x" * 16, b"1" * 16): Fate(0, KEPT, 1.0, "exact", None),
    Member(1, b"y" * 16, b"2" * 16): Fate(0, KEPT, 0.875, "near", 3),
    Member(1, b"z" * 16, b"3" * 16): Fate(
        1, KEPT, 0.9, "near", 0
    ),  # the same id in another partition is another keeper
}


def test_rows_of_duplicates() -> None:
    rows = duplicates_table(FATES, ORDER, "config-1").to_pylist()
    assert rows[1] == {
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
    assert [row["band"] for row in rows] == [None, 3, 0]


def test_clusters_count_copies_by_keeper_and_skip_missing_dates() -> None:
    day = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)
    rows = clusters_table(FATES, ORDER, {b"1" * 16: None, b"2" * 16: day, b"3" * 16: None}).to_pylist()
    assert [(row["kept_source"], row["copies"], row["first_seen"], row["last_seen"]) for row in rows] == [
        ("web", 2, day, day),
        ("books", 1, None, None),
    ]
    assert rows[0]["sources"] == ["books"]


def test_no_decisions_no_rows() -> None:
    assert duplicates_table({}, ORDER, "c").num_rows == 0
    assert clusters_table({}, ORDER, {}).num_rows == 0
