"""Rows whose columns have other names, from local files and from a web server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from file_server import serve_files

from pipelines.sources.census import take_census
from pipelines.sources.inputs import list_inputs
from pipelines.sources.items import DeadItem, Item
from pipelines.sources.reader import read_items
from pipelines.sources.source_format import ReadSettings
from schemas.configs.base import load_config
from schemas.configs.clean import CleanConfig
from schemas.errors import ConfigError, StageError

ROWS = [{"body": f"Text {n}.", "link": f"http://x/{n}", "made": "2024-05-18", "key": n} for n in range(3_000)]
NAMES = {"text": "body", "url": "link", "date": "made", "id": "key"}


def settings(**given: Any) -> ReadSettings:
    return ReadSettings.of(CleanConfig.model_validate({"columns": NAMES, **given}))


def items(given: str, read: ReadSettings) -> list[Item | DeadItem]:
    found = []
    for file in list_inputs([given], read.fetch):
        taken = take_census(file, read)
        mine = [item for piece in taken.work for item in read_items(piece, read)]
        assert len(mine) == taken.items.total()
        found += mine
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "rows").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "in" / "table", row_group_size=500, compression="none")
    return tmp_path / "in"


@pytest.mark.parametrize("name", ["rows", "table"])
def test_columns_are_named_in_the_settings(folder: Path, name: str) -> None:
    found = items(str(folder / name), settings())
    assert [(item.text, item.url) for item in found if isinstance(item, Item)] == [(r["body"], r["link"]) for r in ROWS]
    assert found[7].address.record_id == "7"
    assert str(found[7].address.captured_at) == "2024-05-18 00:00:00+00:00"
    (first, *_) = items(str(folder / name), settings(columns={"text": "words"}))
    assert isinstance(first, DeadItem)
    assert first.name == "no-text"
    assert "(columns.text)" in first.message


@pytest.mark.parametrize("name", ["rows", "table"])
def test_what_lies_in_an_object_beside_the_text(tmp_path: Path, name: str) -> None:
    rows = [
        {"body": "a", "meta": {"link": "http://x/1", "deep": {"key": 7}}, "made.on": "2024-05-18"},
        {"body": "b", "meta": None, "made.on": None},
    ]
    (tmp_path / "rows").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "table")
    names = {"text": "body", "url": "meta.link", "id": "meta.deep.key", "date": "made.on", "title": "meta.deep"}
    first, second = items(str(tmp_path / name), settings(columns=names))
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert (first.url, first.address.record_id, first.title) == ("http://x/1", "7", None)
    assert str(first.address.captured_at) == "2024-05-18 00:00:00+00:00"
    assert (second.text, second.url, second.address.record_id) == ("b", None, None)


def test_names_on_the_command_line() -> None:
    assert load_config(CleanConfig, None, ["columns.text=raw_content"]).columns.text == "raw_content"
    with pytest.raises(ConfigError, match=r"clean.columns.txt: unknown key; did you mean 'text'\?"):
        load_config(CleanConfig, None, ["columns.txt=a"])


def test_parquet_from_a_server_that_cuts(folder: Path) -> None:
    quick = {"attempts": 3, "first_wait_seconds": 0.001, "longest_wait_seconds": 0.01}
    with serve_files(folder) as server:
        server.cut_after = [None, 40_000, 100, None, 9_000]
        server.refusals = [503]
        found = items(server.url + "table", settings(fetch=quick))
        assert found[-1].address.record_id == str(ROWS[-1]["key"])
        assert len(found) == len(ROWS)
        server.always_cut = 1
        with pytest.raises(StageError, match=r"3 attempts in a row failed, the last at byte \d+ of \d+"):
            items(server.url + "table", settings(fetch=quick))
