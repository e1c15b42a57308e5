from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.errors import InputError
from schemas.records import ColumnTemplate, Record, fill_template, read_records

ROWS = [{"question": "Why?", "n": 7, "list": ["a"]}, {"question": "{How}", "n": 8, "list": []}]


def test_jsonl_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    lines, table = tmp_path / "rows.any", tmp_path / "rows.other"
    lines.write_text('\ufeff{"question": "Why?", "n": 7, "list": ["a"]}\n\n{"question": "{How}", "n": 8, "list": []}')
    pq.write_table(pa.Table.from_pylist(ROWS), table)
    assert [record.values for record in read_records(str(lines))] == ROWS
    assert [record.values for record in read_records(str(table))] == ROWS
    assert [record.where for record in read_records(str(lines))] == [f"{lines} line 1", f"{lines} line 3"]
    assert [record.where for record in read_records(str(table))] == [f"{table} row 1", f"{table} row 2"]


def test_values_stand_in_place_of_columns_and_other_braces_for_themselves() -> None:
    template = "{n}. {{question}} {a b} {: "
    filled = [fill_template(template, Record("", row)) for row in ROWS]
    assert filled == ["7. {Why?} {a b} {: ", "8. {{How}} {a b} {: "]


@given(text=st.text())
def test_a_column_alone_is_its_text(text: str) -> None:
    assert fill_template("{text}", Record("", {"text": text})) == text


@pytest.mark.parametrize("template", ["", "{", "}", "{}", "{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{a b}", "question"])
def test_a_template_without_a_column_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="names no column, so all texts would be alike"):
        TypeAdapter(ColumnTemplate).validate_python(template)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{answer}", r"x line 3: no column 'answer' for the template '\{answer\}'; its columns are: question, n, list"),
        ("{list}", "x line 3: column 'list' holds list; give a text or a number"),
    ],
)
def test_a_row_that_does_not_fit_is_named(template: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fill_template(template, Record("x line 3", ROWS[0]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no row; give JSON objects, one a line, or Parquet"),
        (b"\n \n", "has no row"),
        (b'{"a": 1}\n[1]\n', "line 2: a JSON list; give one JSON object a line"),
        (b'{"a": 1}\na,b\n', "line 2: no JSON .*; give one JSON object a line, or Parquet"),
        (b'{"a": "\xff"}\n', "line 1: not UTF-8"),
        (b'{"a": ' + b"[" * 10_000, "line 1: no JSON .brackets are nested too deep"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "line 1: no JSON .*digits"),
        (b"PAR1 and nothing else", "is damaged Parquet after row 0"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "data").write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_records(str(tmp_path / "data")))
