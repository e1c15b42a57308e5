"""Ranges of partitions: the last number is counted, in its width, without any listing."""

from __future__ import annotations

import pytest

from flows.backfill.names import expand, fill_in
from schemas.corpus_root import PartitionKey
from schemas.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("2026-01..2026-03", ["2026-01", "2026-02", "2026-03"]),
        ("p9..p11", ["p9", "p10", "p11"]),
        ("p09..p11", ["p09", "p10", "p11"]),
        ("CC-MAIN-2026-30/00008..CC-MAIN-2026-30/00011", [f"CC-MAIN-2026-30/{n:05d}" for n in range(8, 12)]),
        ("CC-MAIN-2026-30/00008..00010", [f"CC-MAIN-2026-30/{n:05d}" for n in range(8, 11)]),
        ("part-1.old..part-3.old", ["part-1.old", "part-2.old", "part-3.old"]),
        ("2026-01", ["2026-01"]),
        ("a, b,2026-01..2026-02,a", ["a", "b", "2026-01", "2026-02"]),
        ("7..7", ["7"]),
    ],
)
def test_a_range_counts_the_last_number(given: str, names: list[str]):
    assert expand("web", given) == [PartitionKey("web", name) for name in names]


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ("2026-01..2025-03", "differ in more than their last number; give one range for each"),
        ("2026-05..2026-03", "comes before '2026-05'; give the first one first"),
        ("a..b", "holds no number to count; give FROM..TO like 2026-01..2026-12"),
        ("2026-01..", "give a name, or FROM..TO like 2026-01..2026-12"),
        ("008..0010", "are of different widths; write both with 3 digits"),
        ("0..9999999", "partitions are more than 1,000,000; give a shorter range"),
        ("../../x", "give a name, or FROM..TO"),
        ("a/-1..a/-3", "cannot be a folder name"),
    ],
)
def test_what_is_no_range_is_refused(given: str, wrong: str):
    with pytest.raises(ConfigError, match=wrong):
        expand("web", given)


def test_ten_thousand_partitions_are_named_in_order():
    keys = expand("web", "day-00000..day-09999")
    assert len(keys) == 10_000
    assert keys[42] == PartitionKey("web", "day-00042")


def test_inputs_hold_the_names_of_source_and_partition():
    key = PartitionKey("web", "2026-01/7")
    assert fill_in("dumps/{source}/{partition}.warc.gz", key) == "dumps/web/2026-01/7.warc.gz"
    assert fill_in("plain", key) == "plain"
    with pytest.raises(ConfigError, match=r"\{date\} is not known; write \{source\} or \{partition\}"):
        fill_in("dumps/{date}", key)
