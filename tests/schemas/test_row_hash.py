from __future__ import annotations

import datetime
import hashlib
import struct

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.row_hash import digest_of_hashes, row_hashes, table_digest
from schemas.tables import DIGEST_EXCLUDED_COLUMNS, TABLES

DAY = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)


def one(kind: pa.DataType, value: object) -> bytes:
    (found,) = row_hashes(pa.table({"x": pa.array([value], kind)}))
    return found


def prefixed(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">Q", len(part)) + part for part in parts)


SCORES = pa.map_(pa.string(), pa.float32())
SCORES_ENCODED = b"m" + prefixed(prefixed(b"sa", b"f\0\0\0\0"), prefixed(b"sb", b"n"))


@pytest.mark.parametrize(
    ("kind", "value", "encoded"),
    [
        (pa.string(), "ä", b"s\xc3\xa4"),
        (pa.string(), None, b"n"),
        (pa.binary(2), b"ab", b"bab"),
        (pa.binary(), b"ab", b"bab"),
        (pa.large_binary(), b"ab", b"bab"),
        (pa.int64(), -7, b"i-7"),
        (pa.uint64(), 2**64 - 1, b"i18446744073709551615"),
        (pa.float32(), 0.1, b"f\x3d\xcc\xcc\xcd"),
        (pa.float64(), 0.1, b"d\x3f\xb9\x99\x99\x99\x99\x99\x9a"),
        (pa.timestamp("us", tz="UTC"), DAY, b"t1769860800000000"),
        (pa.list_(pa.string()), ["a", None], b"l" + prefixed(b"sa", b"n")),
        (SCORES, [("b", None), ("a", 0.0)], SCORES_ENCODED),
    ],
)
def test_values_are_hashed_as_described(kind: pa.DataType, value: object, encoded: bytes) -> None:
    assert one(kind, value) == hashlib.blake2b(prefixed(b"x") + prefixed(encoded), digest_size=32).digest()


def test_values_that_differ_in_kind_alone_differ() -> None:
    empty = [one(pa.string(), None), one(pa.string(), ""), one(pa.list_(pa.string()), []), one(pa.binary(), b"")]
    empty += [one(pa.list_(pa.string()), [""]), one(pa.list_(pa.string()), [None]), one(pa.string(), "n")]
    empty += [one(pa.float32(), 0.0), one(pa.float32(), -0.0), one(pa.int32(), 0), one(pa.string(), "0")]
    assert len(set(empty)) == len(empty)
    assert one(pa.int32(), 5) == one(pa.int64(), 5)  # a wider type is the same number


def test_order_of_columns_and_entries_of_maps_do_not_enter() -> None:
    table = pa.table({"b": [1, 2], "a": ["x", "y"]})
    assert row_hashes(table) == row_hashes(table.select(["a", "b"]))
    assert one(SCORES, [("a", 1.0), ("b", 2.0)]) == one(SCORES, [("b", 2.0), ("a", 1.0)])


def test_a_value_that_moves_to_another_column_is_another_row() -> None:
    assert row_hashes(pa.table({"a": ["x"], "b": ["y"]})) != row_hashes(pa.table({"a": ["y"], "b": ["x"]}))
    assert row_hashes(pa.table({"a": ["x"]})) != row_hashes(pa.table({"b": ["x"]}))


def test_addresses_and_dates_of_capture_do_not_enter() -> None:
    plain = pa.table({"a": ["x"]})
    for name in DIGEST_EXCLUDED_COLUMNS:
        assert row_hashes(plain.append_column(name, pa.array(["y"]))) == row_hashes(plain)
    names = {name for schema in TABLES.values() for name in schema.names}
    assert DIGEST_EXCLUDED_COLUMNS - names == {"seconds"}


ROWS = st.lists(st.tuples(st.text(max_size=3), st.integers(0, 3)), max_size=8)


def as_table(rows: list[tuple[str, int]]) -> pa.Table:
    return pa.table({"a": pa.array([a for a, _ in rows], pa.string()), "b": pa.array([b for _, b in rows], pa.int32())})


@given(ROWS, ROWS)
def test_tables_have_one_digest_exactly_when_they_are_one_bag_of_rows(
    left: list[tuple[str, int]], right: list[tuple[str, int]]
) -> None:
    assert (table_digest(as_table(left)) == table_digest(as_table(right))) == (sorted(left) == sorted(right))
    parts = pa.concat_tables([as_table(left), as_table(right)])
    assert table_digest(parts) == table_digest(as_table(right + left))


def test_the_digest_of_nothing_is_the_hash_of_nothing() -> None:
    assert digest_of_hashes([]) == hashlib.blake2b(digest_size=32).hexdigest()


def test_a_type_without_a_rule_is_refused() -> None:
    with pytest.raises(TypeError, match=r"no row hash for values of type bool"):
        one(pa.bool_(), True)
