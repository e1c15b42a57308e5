"""Parquet files of every kind of column, and those made to take all memory."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources import parquet
from pipelines.sources.census import FileCensus, take_census
from pipelines.sources.inputs import list_inputs
from pipelines.sources.items import DeadItem, Item
from pipelines.sources.parquet_footer import read_footer
from pipelines.sources.parquet_pages import dictionary_bytes, largest_page
from pipelines.sources.reader import read_items
from pipelines.sources.source_format import ReadSettings
from pipelines.sources.thrift import PageHeaderError
from schemas.configs.clean import CleanConfig

LIMIT = 10_000
SETTINGS = ReadSettings.of(CleanConfig.model_validate({"max_item_bytes": LIMIT}))


def read(path: Path) -> tuple[FileCensus, list[Item | DeadItem]]:
    (file,) = list_inputs([str(path)], SETTINGS.fetch)
    taken = take_census(file, SETTINGS)
    items = [item for piece in taken.work for item in read_items(piece, SETTINGS)]
    assert len(items) == taken.items.total()
    return taken, items


def written(folder: Path, texts: Any, **options: Any) -> Path:
    path = folder / "x.parquet"
    table = pa.table({"text": texts, "url": [f"http://a.example/{n}" for n in range(len(texts))]})
    pq.write_table(table, path, **options)
    return path


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_text_in_any_layout(tmp_path: Path, kind: pa.DataType) -> None:
    taken, items = read(written(tmp_path, pa.array(["one", None, "thr\u00e9e", ""], kind)))
    assert [item.text if isinstance(item, Item) else item.name for item in items] == [
        "one",
        "no-text",
        "thr\u00e9e",
        "",
    ]
    assert [item.url for item in items] == [f"http://a.example/{n}" for n in range(4)]
    assert taken.payload_bytes == 9


@pytest.mark.parametrize(
    "values", [pa.array([b"x"]), pa.array([1]), pa.array([["a"]]), pa.array([{"a": "b"}])], ids=str
)
def test_columns_that_are_no_text(tmp_path: Path, values: pa.Array) -> None:
    (item,) = read(written(tmp_path, values))[1]
    assert isinstance(item, DeadItem)
    assert (item.name, item.url) == ("no-text", "http://a.example/0")


def test_a_page_that_takes_too_much_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyarrow puts up to 1,024 rows into a page, here 300,000 bytes; the row group behind it is read."""
    texts = ["word " * 1_000 + str(n) for n in range(60)]
    path = written(tmp_path, [*texts, "short", "shorter"], row_group_size=60, use_dictionary=False)
    opened = []
    iter_batches = pq.ParquetFile.iter_batches

    def noted(self: Any, **named: Any) -> Any:
        opened.append(named)
        return iter_batches(self, **named)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noted)
    taken, items = read(path)
    assert [item.name for item in items if isinstance(item, DeadItem)] == ["too-large"] * 60
    assert [item.text for item in items if isinstance(item, Item)] == ["short", "shorter"]
    first = items[0]
    assert isinstance(first, DeadItem)
    assert "240000 are allowed (24 times max_item_bytes); write the file with fewer rows a row group" in first.message
    assert {tuple(one["row_groups"]) for one in opened} == {(1,)}
    assert taken.payload_bytes == len("shortshorter")


def test_long_rows_come_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_BATCH_BYTES", 20_000)
    sizes = []
    lengths = parquet._lengths
    monkeypatch.setattr(parquet, "_lengths", lambda texts: sizes.append(len(texts)) or lengths(texts))
    plain = written(tmp_path, ["word " * 1_000 + str(n) for n in range(40)], use_dictionary=False)
    assert len(read(plain)[1]) == 40
    assert max(sizes) == 3
    sizes.clear()
    shared = written(tmp_path, ["word " * 1_000] * 40)  # the column chunk is as small as one of them
    assert len(read(shared)[1]) == 40
    assert max(sizes) == 3


def test_a_dictionary_that_is_a_bomb(tmp_path: Path) -> None:
    """20,000 rows of one text: a kilobyte of file, 200 MB of text."""
    path = tmp_path / "x.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["word " * 2_000])
    pq.write_table(pa.table({"text": texts}), path, store_schema=False)
    taken, items = read(path)
    most = 64 * 2**20 + 1_100 * path.stat().st_size
    kept = sum(isinstance(item, Item) for item in items)
    assert kept == most // 10_000
    last = items[-1]
    assert isinstance(last, DeadItem)
    assert (last.name, last.message) == (
        "too-large",
        "the rows before it take as much as only a decompression bomb does",
    )
    assert taken.payload_bytes == most


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_pages_are_measured(tmp_path: Path, version: str, compression: str) -> None:
    texts = [f"{n} " * (n % 50) for n in range(5_000)]
    options = {"data_page_version": version, "compression": compression, "write_page_checksum": True}
    path = written(tmp_path, texts, data_page_size=2_000, write_batch_size=10, use_dictionary=False, **options)
    with path.open("rb") as stream:
        chunk = pq.read_metadata(path).row_group(0).column(0)
        assert 2_000 <= largest_page(stream, chunk) <= 2_000 + 10 * 250
        assert dictionary_bytes(stream, chunk) == 0
    path = written(tmp_path, ["a" * 100, "b" * 100] * 20, **options)
    with path.open("rb") as stream:
        chunk = pq.read_metadata(path).row_group(0).column(0)
        assert dictionary_bytes(stream, chunk) == largest_page(stream, chunk) == 2 * (4 + 100)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_page_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    class Chunk:
        dictionary_page_offset, data_page_offset, total_compressed_size = None, 4, len(data)

    path = tmp_path_factory.mktemp("pages") / "x"
    path.write_bytes(b"PAR1" + data)
    with path.open("rb") as stream, contextlib.suppress(PageHeaderError):
        assert largest_page(stream, Chunk()) >= 0


def _footer_of(data: bytes) -> tuple[bytes, bytes]:
    """What lies before the footer of a file, and the footer."""
    length = int.from_bytes(data[-8:-4], "little")
    return data[: -8 - length], data[-8 - length : -8]


def _with_footer(path: Path, change: Callable[[bytes], bytes]) -> Path:
    before, footer = _footer_of(path.read_bytes())
    changed = change(footer)
    path.write_bytes(before + changed + len(changed).to_bytes(4, "little") + b"PAR1")
    return path


@pytest.mark.parametrize("rows", [7, 300])
def test_any_byte_of_a_footer_may_be_damaged(tmp_path: Path, rows: int) -> None:
    # pyarrow ends the process for some: `terminate called after throwing an instance of 'parquet::ParquetException'`.
    path = written(tmp_path, [f"text {n}" for n in range(rows)], row_group_size=200)
    whole = path.read_bytes()
    before, footer = _footer_of(whole)
    for place, other in itertools.product(range(0, len(footer), 3), (1, 32, 255)):
        at = len(before) + place
        path.write_bytes(whole[:at] + bytes([whole[at] ^ other]) + whole[at + 1 :])
        read(path)


def test_a_name_of_a_column_that_is_not_utf8_is_a_damaged_file(tmp_path: Path) -> None:
    path = _with_footer(written(tmp_path, ["one"]), lambda footer: footer.replace(b"url", b"u\xe7l"))
    _, (dead,) = read(path)
    assert isinstance(dead, DeadItem)
    assert dead.name == "damaged-file"


def test_more_rows_than_values_are_a_damaged_file(tmp_path: Path) -> None:
    path = written(tmp_path, ["one", "two"])
    with path.open("rb") as stream:
        (group,) = read_footer(stream)
    assert (group.num_rows, [chunk.num_values for chunk in group.chunks]) == (2, [2, 2])
    # The number of rows of the group, field 3 behind the bytes of field 2, made 2**34.
    most = _with_footer(path, _rows_made_many)
    _, (dead,) = read(most)
    assert isinstance(dead, DeadItem)
    assert (dead.name, dead.message) == ("damaged-file", "a row group of 17179869184 rows has 2 values in a column")


def _rows_made_many(footer: bytes) -> bytes:
    place = footer.rindex(b"\x16\x04")
    return footer[:place] + b"\x16\x80\x80\x80\x80\x80\x01" + footer[place + 2 :]


def test_two_columns_of_one_name_are_none(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([["a"], ["b"]], names=["text", "text"]), tmp_path / "x.parquet")
    _, (dead,) = read(tmp_path / "x.parquet")
    assert isinstance(dead, DeadItem)
    assert dead.message.startswith("several columns text among text, text")
