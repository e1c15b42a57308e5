from __future__ import annotations

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.engine.blocks import ArrowTableCoder
from pipelines.engine.spill import BucketedSpill, SpillRef, bucket_count, bucket_of, read_spills
from pipelines.engine.staging import StagedTable, part_name, stage_parquet
from pipelines.engine.write_parts import GroupAndWriteParts, PartWriter, staged_tables
from schemas.row_hash import table_digest
from schemas.storage import Folder

ROWS = pa.schema([pa.field("id", pa.binary(2)), pa.field("n", pa.int64())])


def rows(*numbers: int) -> pa.Table:
    return pa.table({"id": [n.to_bytes(2) for n in numbers], "n": list(numbers)}, schema=ROWS)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16), st.integers(0, 12))
def test_buckets_in_order_hold_ids_in_order(left: bytes, right: bytes, power: int) -> None:
    low, high = sorted([left, right])
    assert 0 <= bucket_of(low, 2**power) <= bucket_of(high, 2**power) < 2**power
    assert bucket_of(low, 2**power) == int.from_bytes(low, "big") >> (128 - power)
    assert bucket_of(None, 2**power) == 0


@pytest.mark.parametrize(
    ("mebibytes", "buckets"), [(0, 1), (1, 1), (64, 1), (65, 2), (128, 2), (129, 4), (1024, 16), (1025, 32)]
)
def test_the_number_of_buckets_comes_from_the_bytes(mebibytes: int, buckets: int) -> None:
    assert bucket_count(mebibytes * 2**20) == buckets


def test_rows_come_back_by_table_and_bucket(tmp_path) -> None:
    folder = Folder(str(tmp_path))
    spill = BucketedSpill(folder)
    assert spill.flush() == []
    assert spill.add("tokens/a", 0, rows()) == []
    assert spill.add("tokens/a", 1, rows(1)) == []
    assert spill.add("tokens/a", 0, rows(2)) == []
    assert spill.add("b", 0, rows(3)) == []
    assert spill.add("b", 0, rows(4)) == []
    found = spill.flush()
    assert [(bucket, table, one.rows) for bucket, (table, one) in found] == [
        (0, "b", 2),
        (0, "tokens/a", 1),
        (1, "tokens/a", 1),
    ]
    assert [table.to_pydict()["n"] for table in read_spills(one for _, (_, one) in found[:1])] == [[3, 4]]
    assert spill.flush() == []
    # Over the budget, rows are written out at once.
    spill = BucketedSpill(folder, most_bytes=25)
    assert spill.add("b", 0, rows(5, 6)) == []
    assert [one.rows for _, (_, one) in spill.add("b", 0, rows(7))] == [3]
    assert len(folder.names()) == 4


def only_even(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Odd rows move from a to b."""
    a = tables["a"].to_pylist()
    odd = [row for row in a if row["n"] % 2]
    moved = pa.Table.from_pylist(odd, schema=ROWS)
    even = pa.Table.from_pylist([row for row in a if row not in odd], schema=ROWS)
    return {"a": even, "b": pa.concat_tables([tables["b"], moved])}


def test_a_bucket_becomes_one_part_of_each_table(tmp_path) -> None:
    folder = Folder(str(tmp_path))
    spill = BucketedSpill(folder.child("spill"))
    references = []
    for numbers in ((5, 2), (4,), (1,)):
        spill.add("a", 0, rows(*numbers))
        references += [one for _, one in spill.flush()]
    writer = PartWriter(folder, {"a": ROWS, "b": ROWS, "none": ROWS}, {"a": ["id"], "b": ["id"]}, finish=only_even)
    written = dict(writer.write(3, references[::-1]))
    assert {name: (one.name, one.rows) for name, one in written.items()} == {
        "a": ("part-00003.parquet", 2),
        "b": ("part-00003.parquet", 2),
    }
    tables = staged_tables(folder, ["a", "b", "none"])
    assert {name: table.files for name, table in tables.items()} == {
        "a": (written["a"],),
        "b": (written["b"],),
        "none": (),
    }
    with tables["b"].folder.open_read("part-00003.parquet") as stream:
        assert pq.read_table(stream).column("n").to_pylist() == [1, 5]


def test_the_steps_group_and_write_are_named_and_write_what_was_spilled(tmp_path) -> None:
    folder = Folder(str(tmp_path))
    spill = BucketedSpill(folder.child("spill"))
    references = [one for n in range(6) for _ in [spill.add("a", n % 2, rows(n))] for one in spill.flush()]
    writer = PartWriter(folder, {"a": ROWS}, {"a": ["id"]})
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        pipeline | beam.Create(references) | "Store" >> GroupAndWriteParts(writer)
        (stored,) = (part for part in pipeline.transforms_stack[0].parts if part.full_label == "Store")
        assert [part.full_label for part in stored.parts] == ["Store/Group", "Store/Write"]
    table = staged_tables(folder, ["a"])["a"]
    assert [(file.name, file.rows) for file in table.files] == [("part-00000.parquet", 3), ("part-00001.parquet", 3)]


def test_the_digest_of_a_file_is_of_its_rows_and_of_a_table_of_its_files(tmp_path) -> None:
    folder = Folder(str(tmp_path))
    one = stage_parquet(folder, part_name(0), rows(3, 1, 2), ["id"])
    other = stage_parquet(folder, part_name(1), rows(1, 2, 3))
    assert (one.rows, one.bytes, one.digest) == (3, (tmp_path / one.name).stat().st_size, other.digest)
    assert one.digest == table_digest(rows(2, 3, 1))
    with folder.open_read(one.name) as stream:
        assert pq.read_table(stream).column("n").to_pylist() == [1, 2, 3]
    third = stage_parquet(folder, part_name(2), rows(4))
    both = StagedTable(folder, (one, third))
    assert both.rows == 4
    assert both.digest() == StagedTable(folder, (third, one)).digest() != StagedTable(folder, (one,)).digest()


def test_references_are_read_in_the_order_of_their_names(tmp_path) -> None:
    folder = Folder(str(tmp_path))
    for name, n in (("b", 2), ("a", 1)):
        with folder.open_write(name) as stream, pa.ipc.new_stream(stream, ROWS) as writer:
            writer.write_table(rows(n))
    references = [SpillRef(f"{tmp_path}/{name}", 1) for name in "ba"]
    assert [table.column("n").to_pylist() for table in read_spills(references)] == [[1], [2]]


def test_blocks_travel_as_arrow_streams() -> None:
    coder = beam.coders.registry.get_coder(pa.Table)
    assert isinstance(coder, ArrowTableCoder)
    assert not coder.is_deterministic()
    table = rows(1, 2, 3)
    assert coder.decode(coder.encode(table)).equals(table)
    assert coder.decode(coder.encode(rows())).schema.equals(ROWS)
