"""Samples depend on the rows alone."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa

from flows.funnel_report.row_groups import Place, RowGroup
from flows.funnel_report.samples import Sampled, Sampler
from schemas.corpus_root import PartitionKey
from schemas.identity import content_hash


def group(rows: list[tuple[str | None, str]], number: int = 0) -> RowGroup:
    table = pa.table(
        {
            "content_hash": pa.array([text and content_hash(text) for text, _ in rows], pa.binary(16)),
            "url": [url for _, url in rows],
            "record_id": pa.array([None] * len(rows), pa.string()),
        }
    )
    return RowGroup(Place("dropped", PartitionKey("web", "one"), "part-00000.parquet", number, 0), table)


def drawn(rows: list[tuple[str | None, str]], cuts: int, size: int = 5, purpose: str = "p") -> list[tuple[int, str]]:
    sampler = Sampler(size, purpose)
    for number, part in enumerate(np.array_split(np.arange(len(rows)), cuts)):
        mine = group([rows[place] for place in part], number)
        sampler.add(mine, np.arange(len(part)), np.full(len(part), np.nan, dtype=np.float32))
    return [(one.draw, one.url) for one in sampler.rows()]


ROWS: list[tuple[str | None, str]] = [(f"text {n}", f"http://x/{n}") for n in range(200)]


def test_order_and_cutting_make_no_difference() -> None:
    shuffled = ROWS[:]
    random.Random(3).shuffle(shuffled)
    assert drawn(ROWS, 1) == drawn(shuffled, 7) == drawn(ROWS[::-1], 30)
    assert len(drawn(ROWS, 1)) == 5
    assert drawn(ROWS, 1) != drawn(ROWS, 1, purpose="q")


def test_of_equal_texts_one_is_shown() -> None:
    copies: list[tuple[str | None, str]] = [("the same", f"http://x/{n}") for n in range(50, 10, -1)]
    assert [url for _, url in drawn(copies, 4)] == ["http://x/11"]
    assert len(drawn(copies + ROWS[:2], 3)) == 3


def test_rows_without_text_are_told_apart_by_their_urls() -> None:
    assert len(drawn([(None, f"http://x/{n}") for n in range(30)], 4)) == 5
    assert len(drawn([(None, "http://x/"), (None, "http://x/")], 1)) == 1


def test_rows_of_a_sample_are_random_ones() -> None:
    counts = np.zeros(200)
    for purpose in map(str, range(400)):
        for _, url in drawn(ROWS, 1, purpose=purpose):
            counts[int(url.rpartition("/")[2])] += 1
    # 2,000 draws over 200 rows: 10 each, with a deviation of 3.1.
    assert counts.max() < 26
    assert (counts == 0).sum() < 3


def test_values_go_with_their_rows() -> None:
    sampler = Sampler(3, "p")
    rows = np.array([5, 7, 9, 11])
    sampler.add(group(ROWS), rows, np.array([0.5, 0.7, 0.9, 1.1], dtype=np.float32))
    for one in sampler.rows():
        assert isinstance(one, Sampled)
        assert one.value == float(np.float32(one.place.row / 10))
        assert one.url == f"http://x/{one.place.row}"
