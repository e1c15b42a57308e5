from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.decontamination.evaluation_files import EvaluationFile, digests_of, find_files, read_items
from pipelines.decontamination.items import Item, item_of
from schemas.configs.base import load_config
from schemas.configs.decontaminate import DecontaminateConfig
from schemas.errors import ConfigError, InputError

SHAPES: list[tuple[dict[str, Any], tuple[str, tuple[str, ...], tuple[str, ...]]]] = [
    ({"query": "Q", "choices": ["a", "b"], "gold": 1}, ("Q", ("b",), ("a",))),
    ({"question": "Q", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"}, ("Q", ("b",), ("a",))),
    ({"question": "Q", "choices": ["a", "b"], "answer": "A"}, ("Q", ("a",), ("b",))),
    ({"question": "Q", "choices": ["a", "b"], "answer": "b"}, ("Q", ("b",), ("a",))),
    ({"ctx": "Q", "endings": ["a", "b"], "label": "1"}, ("Q", ("b",), ("a",))),
    ({"question": "Q", "choices": ["a", "b"]}, ("Q", (), ("a", "b"))),
    (
        {"context_options": ["one so", "two so"], "continuation": "it fell.", "gold": 1},
        ("two so it fell.", (), ("one so it fell.",)),
    ),
    ({"context": "C", "continuation": "D"}, ("C", ("D",), ())),
    ({"context": "C", "completion": " D"}, ("C", (" D",), ())),
    ({"context": "C", "answer": "D", "aliases": ["D", "E"]}, ("C", ("D", "E"), ())),
    ({"passage": "P", "question": "Q", "answers": {"text": ["A"], "answer_start": [3]}}, ("P\nQ", ("A",), ())),
    ({"prompt": "def f():", "canonical_solution": "return 1", "test": "t"}, ("def f():", ("return 1",), ())),
    ({"question": "Q", "answer": 7, "chain_of_thought": "because"}, ("Q", ("7",), ("because",))),
    ({"text": "all of it"}, ("all of it", (), ())),
    ({"prompt": "P", "answers": ["A", "B"]}, ("P", ("A", "B"), ())),
]


@pytest.mark.parametrize(("row", "expected"), SHAPES, ids=[" ".join(row) for row, _ in SHAPES])
def test_rows_of_the_known_shapes(row: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert item_of(row, "set", 4) == Item("set", "4", *expected)


def test_ids_of_their_own_are_kept() -> None:
    assert item_of({"task_id": "HumanEval/7", "prompt": "p"}, "set", 0).id == "HumanEval/7"
    assert item_of({"id": 7, "text": "t"}, "set", 0).id == "7"


def test_named_columns_are_the_item_and_nothing_else() -> None:
    row = {"title": "T", "body": ["one", "two"], "question": "not this"}
    assert item_of(row, "set", 0, ["body", "title"]).question == "one\ntwo\nT"
    with pytest.raises(InputError, match=r"has no column 'boddy'; it has title, body, question"):
        item_of(row, "set", 0, ["boddy"])
    with pytest.raises(InputError, match=r"has no text under a name that is known \(columns: a\); name the columns"):
        item_of({"a": "text"}, "set", 0)


ROWS = [{"question": "What, is it?", "answer": "This"}, {"question": 'And "that"?', "answer": "Too"}]
EXPECTED = [("What, is it?", ("This",)), ('And "that"?', ("Too",))]


def write(path: Path) -> None:
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
        return
    if kind in ("csv", "tsv"):
        mark = "," if kind == "csv" else "\t"
        lines = [mark.join(["question", "answer"])]
        lines += [mark.join('"' + str(one).replace('"', '""') + '"' for one in row.values()) for row in ROWS]
        text = "\r\n".join(lines)
    else:
        text = json.dumps({"data": ROWS}) if kind == "json" else "\n".join(map(json.dumps, ROWS)) + "\n\n"
    data = ("\ufeff" + text).encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.jsonl.gz", "a.ndjson", "a.json", "a.json.gz", "a.csv", "a.tsv", "a.csv.gz", "a.parquet"]
)
def test_files_of_every_kind_give_the_same_items(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    (file,) = find_files([str(tmp_path / name)])
    assert file.task == "a"
    assert [(one.question, one.answers) for one in read_items(file)] == EXPECTED


def test_a_folder_is_all_its_files_and_a_suite_gives_its_own_names(tmp_path: Path) -> None:
    for name in ("b.jsonl", "deep/a set.csv", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name) if name != "notes.txt" else (tmp_path / name).write_text("no set")
    assert [one.task for one in find_files([str(tmp_path)])] == ["a-set", "b"]
    suite = tmp_path / "suite.toml"
    suite.write_text('name = "s"\n[[tasks]]\nname = "mine"\nkind = "generation"\nitems = "b.jsonl"\n')
    assert find_files([str(suite)]) == [EvaluationFile("mine", str(tmp_path / "b.jsonl"))]
    assert (
        digests_of(find_files([str(suite)]))[0].digest == digests_of(find_files([str(tmp_path / "b.jsonl")]))[0].digest
    )


def test_what_is_no_evaluation_set_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file or folder .*gone; give evaluation files, or a folder of them"):
        find_files([str(tmp_path / "gone")])
    (tmp_path / "x.txt").write_text("text")
    with pytest.raises(InputError, match=r"no evaluation file in .*x.txt; known endings are .jsonl"):
        find_files([str(tmp_path / "x.txt")])
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "a.jsonl")
    with pytest.raises(InputError, match=r"two evaluation sets have the name 'a': .*; rename a file"):
        find_files([str(tmp_path)])


BROKEN: list[tuple[str, bytes, str]] = [
    ("a.jsonl", b'{"text": "t"}\n{"text"', r"a.jsonl line 2: no JSON \(.*\); expected one object a line"),
    ("a.jsonl", b"[1]\n", r"a.jsonl line 1 is list; expected an object of named columns"),
    ("a.jsonl", b'{"text": ""}\n', r"a.jsonl line 1 has no text under a name that is known"),
    ("a.jsonl", b"\n", r"a.jsonl holds no item; leave the file out"),
    ("a.jsonl", b'{"text": "\xff"}', r"a.jsonl: not UTF-8 \(.* at byte 10\); save the file as UTF-8"),
    ("a.jsonl.gz", b"\x1f\x8b damaged", r"a.jsonl.gz is a damaged gzip file \(.*\); fetch it again"),
    ("a.json", b'{"a": [], "b": []}', r"a.json holds no list of items; expected a JSON list of objects"),
    ("a.parquet", b"PAR1 damaged", r"a.parquet is no Parquet file \(.*\); fetch it again"),
]


@pytest.mark.parametrize(("name", "data", "message"), BROKEN, ids=[one[2][:40] for one in BROKEN])
def test_files_that_are_broken_are_named_with_the_place(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_items(EvaluationFile("a", str(tmp_path / name)))


def test_bounds_that_cross_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"overlap_least 9 is over overlap_most 8; lower one or raise the other"):
        load_config(DecontaminateConfig, None, ["overlap_least=9", "overlap_most=8"])


def test_a_field_beyond_every_bound_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.decontamination.evaluation_files._MOST_FIELD", 10)
    (tmp_path / "a.csv").write_text("text\n" + "x" * 50)
    with pytest.raises(InputError, match=r"a.csv is no table of columns: field larger than field limit"):
        read_items(EvaluationFile("a", str(tmp_path / "a.csv")))


@pytest.mark.parametrize("content", ["null", "7", '{"a": 1}'])
def test_json_without_a_list_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=r"a\.json holds no list of items; expected a JSON list of objects"):
        read_items(EvaluationFile("a", str(tmp_path / "a.json")))


def test_brackets_without_end_are_no_json(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("[" * 10_000)
    with pytest.raises(InputError, match=r"line 1: no JSON \(brackets are nested too deep\)"):
        read_items(EvaluationFile("a", str(tmp_path / "a.jsonl")))
