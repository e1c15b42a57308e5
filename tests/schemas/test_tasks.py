from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.errors import ConfigError, InputError
from schemas.suites import Suite, read_suite, suite_text
from schemas.tasks import GenerationItem, MultipleChoiceItem, Pair, TaskSpec, read_rows


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_rows_of_each_kind_are_read_and_blank_lines_and_other_keys_do_not_matter(tmp_path: Path) -> None:
    choices = write(
        tmp_path / "a.jsonl", '{"id": "1", "context": "c", "choices": ["x", "y"], "answer": 1, "from": 3}', ""
    )
    prompts = write(tmp_path / "b.jsonl", "", '{"id": "1", "prompt": "p", "answers": ["x", "y"], "group": "d"}')
    pairs = write(tmp_path / "c.jsonl", '\ufeff{"prompt": "p", "answer": "x"}')
    (item,) = read_rows(choices, MultipleChoiceItem)
    assert (item.query, item.solution, item.group) == ("c", "y", None)
    (prompt,) = read_rows(prompts, GenerationItem)
    assert (prompt.query, prompt.solution, prompt.group) == ("p", "x", "d")
    assert read_rows(pairs, Pair) == [Pair(prompt="p", answer="x")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"rows\.jsonl line 2: .*expected one JSON object with \"id\", \"choices\", \"answer\""),
        ("[1]", r"rows\.jsonl line 2: .*object"),
        ('{"id": "1", "context": "c", "choices": ["x", "y"]}', r"rows\.jsonl line 2: answer: Field required"),
        ('{"id": "1", "context": "c", "choices": ["x", "y"], "answer": 2}', r"line 2: answer 2 is no position in 2"),
        ('{"id": "1", "context": "c", "choices": ["x"], "answer": 0}', r"line 2: choices: .*at least 2"),
        ('{"id": "1", "context": "", "choices": ["x", "y"], "answer": 0}', r"line 2: context: .*at least 1 character"),
    ],
)
def test_a_wrong_row_is_named_by_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    good = '{"id": "1", "context": "c", "choices": ["x", "y"], "answer": 0}'
    with pytest.raises(InputError, match=message) as caught:
        read_rows(write(tmp_path / "rows.jsonl", good, line), MultipleChoiceItem)
    assert "\n" not in str(caught.value)


def test_a_file_without_rows_of_other_encoding_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"empty\.jsonl has no row; expected JSON objects with \"prompt\""):
        read_rows(write(tmp_path / "empty.jsonl", ""), Pair)
    (tmp_path / "latin.jsonl").write_bytes('{"prompt": "é"}'.encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.jsonl line 1: not UTF-8"):
        read_rows(str(tmp_path / "latin.jsonl"), Pair)
    with pytest.raises(InputError, match=r"cannot read .*none\.jsonl"):
        read_rows(str(tmp_path / "none.jsonl"), Pair)


SUITE = """
name = "mine"
[[tasks]]
name = "perplexity"
kind = "perplexity"
[[tasks]]
name = "words"
kind = "generation"
items = "words.jsonl"
examples = "/elsewhere/examples.jsonl"
shots = [0, 4]
"""


def test_paths_of_a_suite_are_relative_to_its_folder(tmp_path: Path) -> None:
    suite = read_suite(write(tmp_path / "suite.toml", SUITE))
    words = suite.tasks[1]
    assert (words.items, words.examples) == (str(tmp_path / "words.jsonl"), "/elsewhere/examples.jsonl")
    assert suite.tasks[0].items is None
    assert (words.main_metric, suite.tasks[0].main_metric) == ("exact_match", "bits_per_byte")


def test_a_suite_can_be_json_and_survives_being_written(tmp_path: Path) -> None:
    suite = Suite(
        name="mine",
        tasks=(
            TaskSpec(name="a", kind="multiple_choice", items="a.jsonl", delimiter="", separator='\n"é\t\\'),
            TaskSpec(name="b", kind="generation", items="b.jsonl", metric="token_f1", stop=("\n", "."), max_tokens=3),
        ),
    )
    toml = tmp_path / "suite.toml"
    toml.write_text(suite_text(suite), encoding="utf-8")
    as_json = write(tmp_path / "suite.json", suite.model_dump_json())
    assert read_suite(str(toml)) == read_suite(as_json)
    read = read_suite(str(toml)).tasks
    assert [task.model_copy(update={"items": f"{task.name}.jsonl"}) for task in read] == list(suite.tasks)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": None}, "multiple_choice needs items, a JSONL file"),
        ({"metric": "token_f1"}, r"metric token_f1 does not fit multiple_choice \(known: accuracy\)"),
        ({"shots": [0, 2]}, r"shots \[0, 2\] need examples"),
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"name": "a b"}, "name: String should match"),
    ],
)
def test_a_wrong_suite_is_one_line_that_names_the_file(tmp_path: Path, change: dict[str, object], message: str) -> None:
    task = {"name": "a", "kind": "multiple_choice", "items": "a.jsonl"} | change
    path = write(tmp_path / "suite.json", json.dumps({"name": "s", "tasks": [task]}))
    with pytest.raises(ConfigError, match=rf"suite .*suite\.json: .*{message}") as caught:
        read_suite(path)
    assert "\n" not in str(caught.value)


def test_task_names_are_unique_and_the_file_must_parse(tmp_path: Path) -> None:
    task = {"name": "a", "kind": "perplexity"}
    with pytest.raises(ConfigError, match="task names must be unique, 'a' stands twice"):
        read_suite(write(tmp_path / "s.json", json.dumps({"name": "s", "tasks": [task, task]})))
    with pytest.raises(ConfigError, match=r"s\.toml is neither TOML nor JSON"):
        read_suite(write(tmp_path / "s.toml", "name = "))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('name = "s"\ninclude = ["s.toml"]', r"s\.toml includes itself; take it out of its list"),
        ('name = "s"\ninclude = 7', r"s\.toml: include is int, expected a list"),
        ('name = "s"\ninclude = [7]', r"s\.toml: include holds 7, expected paths of suites"),
        ('name = "s"\ntasks = 7', r"s\.toml: tasks is int, expected a list"),
        ('name = "s"\ndefaults = [7]', r"s\.toml: defaults is list, expected a table"),
        ("x = " + "[" * 5000, r"s\.toml is neither TOML nor JSON: brackets are nested too deep"),
    ],
)
def test_a_suite_of_another_shape_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_suite(write(tmp_path / "s.toml", content))
