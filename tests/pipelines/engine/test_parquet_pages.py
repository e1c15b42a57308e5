"""Single values from pages, against Arrow's own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.engine.parquet_pages import values_in_pages
from pipelines.engine.staging import stage_parquet
from schemas.storage import Folder

SCHEMA = pa.schema(
    [
        pa.field("document_id", pa.binary(16), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("scores", pa.map_(pa.string(), pa.float32())),
        pa.field("sentence_ends", pa.list_(pa.int32())),
    ]
)


def table_of(texts: list[str]) -> pa.Table:
    ids = [number.to_bytes(16, "big") for number in range(len(texts))]
    columns = [ids, texts, [[("rule", 1.0)]] * len(texts), [[1, 2]] * len(texts)]
    return pa.Table.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def read(path: Path, group: int, column: str, rows: list[int]) -> list[bytes] | None:
    with pa.memory_map(str(path)) as stream:
        return values_in_pages(pq.ParquetFile(stream), stream, group, column, np.array(rows, dtype=np.int64))


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 150), st.data())
def test_values_are_those_of_arrow(seed: int, documents: int, data: st.DataObject) -> None:
    draw = np.random.default_rng(seed)
    texts = ["ä𝄞x " * int(size) for size in draw.lognormal(5, 2, documents).clip(1, 3_000)]
    rows = sorted(data.draw(st.sets(st.integers(0, documents - 1), max_size=20)))
    sink = pa.BufferOutputStream()
    table = table_of(texts)
    how = {"use_dictionary": False, "write_statistics": False, "data_page_size": 4096, "write_batch_size": 3}
    pq.write_table(table, sink, compression="zstd", **how)
    stream = pa.BufferReader(sink.getvalue())
    found = values_in_pages(pq.ParquetFile(stream), stream, 0, "text", np.array(rows, dtype=np.int64))
    assert found == [texts[row].encode() for row in rows]


def test_staged_texts_lie_in_pages_and_other_columns_are_for_arrow(tmp_path: Path) -> None:
    texts = [f"{number} " * 300 for number in range(5000)]
    table = table_of(texts)
    stage_parquet(Folder(str(tmp_path)), "part.parquet", table)
    path = tmp_path / "part.parquet"
    assert pq.read_table(path).equals(table)
    assert read(path, 0, "text", [0, 31, 32, 4095]) == [texts[row].encode() for row in (0, 31, 32, 4095)]
    assert read(path, 1, "text", [3]) == [texts[4099].encode()]
    assert read(path, 0, "document_id", [0]) is None
    assert read(path, 0, "scores.key_value.key", [0]) is None
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(number).path_in_schema: group.column(number) for number in range(group.num_columns)}
    assert columns["text"].statistics is None
    for short in ("document_id", "scores.key_value.key", "sentence_ends.list.element"):
        assert columns[short].has_dictionary_page
        assert columns[short].statistics is not None


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "snappy"},
        {"compression": "zstd", "use_dictionary": True},
        {"compression": "zstd", "use_dictionary": False, "write_statistics": True},
        {"compression": "zstd", "use_dictionary": False, "write_statistics": False, "data_page_version": "2.0"},
        {"compression": "zstd", "use_dictionary": False, "column_encoding": {"text": "DELTA_LENGTH_BYTE_ARRAY"}},
    ],
)
def test_columns_written_otherwise_are_for_arrow(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(table_of(["text"] * 10).select(["text"]), path, **options)
    assert read(path, 0, "text", [1]) is None


def test_a_column_with_nulls_is_for_arrow(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"text": ["a", None]}), path, compression="zstd", use_dictionary=False)
    assert read(path, 0, "text", [0]) is None
