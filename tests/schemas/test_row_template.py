from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from schemas.errors import ConfigError, InputError
from schemas.row_template import Template
from schemas.suites import read_suite, suite_text
from schemas.tasks import GenerationItem, MultipleChoiceItem, TextItem, read_rows


def test_places_are_columns_and_a_lone_place_is_as_many_texts_as_its_list() -> None:
    template = Template(query="Q: {question} {other}\nA:", answers=("{answer}", "{aliases}", "the {answer}"))
    row = {"question": "who?", "answer": "cat", "aliases": ["tom", "puss"], "qid": "q7", "other": 3}
    assert template.item(row, 5) == {
        "id": "q7",
        "prompt": "Q: who? 3\nA:",
        "answers": ["cat", "tom", "puss", "the cat"],
    }
    assert Template(query="{{x}} {a b}").item({"x": "1"}, 5) == {"id": "5", "text": "{1} {a b}"}


@pytest.mark.parametrize(("gold", "answer"), [(1, 1), ("B", 1), ("1", 1), ("no", 1), ("yes", 0), (" A ", 0)])
def test_the_right_choice_is_a_number_a_letter_or_a_text(gold: object, answer: int) -> None:
    template = Template(query="{q}", choices=("yes", "no"), gold="label")
    assert template.item({"q": "?", "label": gold}, 0)["answer"] == answer


def test_choices_can_be_beginnings_of_one_ending() -> None:
    template = Template(contexts=("{options}",), choices=("{end}",))
    item = MultipleChoiceItem.model_validate(template.item({"options": ["a b", "a c"], "end": "d.", "gold": 1}, 0))
    assert (item.contexts, item.choices, item.query, item.solution) == (("a b", "a c"), ("d.", "d."), "a c", "d.")


def test_columns_are_cut_by_the_groups_of_an_expression() -> None:
    template = Template(split={"text": r"(?s)(?P<begin>.*)\s(?P<word>\S+)"}, query="{begin}", answers=("{word}",))
    assert template.item({"text": "a b\nc d"}, 0) == {"id": "0", "prompt": "a b\nc", "answers": ["d"]}
    with pytest.raises(InputError, match=r"column 'text' is not matched by '\(\?s\)"):
        template.item({"text": "word"}, 0)
    with pytest.raises(ValueError, match=r"text: '\(' is no regular expression"):
        Template(split={"text": "("})


def test_rows_of_a_template_may_be_gzipped_and_mistakes_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    rows = [{"q": "a", "a": "x"}, {"q": "b", "a": "y"}]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    template = Template(query="{q}", answers=("{a}",))
    assert [item.id for item in read_rows(str(path), GenerationItem, template)] == ["0", "1"]
    assert [item.text for item in read_rows(str(path), TextItem, Template(query="{q}{a}"))] == ["ax", "by"]
    choice = Template(query="{q}", choices=("x", "y"), gold="a")
    assert [item.answer for item in read_rows(str(path), MultipleChoiceItem, choice)] == [0, 1]
    with pytest.raises(InputError, match=r"rows\.jsonl\.gz line 1: has no column 'b'; it has q, a"):
        read_rows(str(path), GenerationItem, Template(query="{b}", answers=("{a}",)))
    with pytest.raises(InputError, match=r"line 2: column 'a' is 'y', which is none of 2 choices"):
        read_rows(str(path), MultipleChoiceItem, Template(query="{q}", choices=("x", "z"), gold="a"))
    (tmp_path / "bad.jsonl").write_text('{"q": "a", "a": "x"}\n[1]\n')
    with pytest.raises(InputError, match=r"bad\.jsonl line 2: is list; expected an object of named columns"):
        read_rows(str(tmp_path / "bad.jsonl"), GenerationItem, template)
    (tmp_path / "bad.jsonl").write_text("{\n")
    with pytest.raises(InputError, match=r"bad\.jsonl line 1: no JSON \(.*expected one object a line"):
        read_rows(str(tmp_path / "bad.jsonl"), GenerationItem, template)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"rows\.jsonl\.gz is a damaged gzip file"):
        read_rows(str(path), GenerationItem, template)


def test_a_suite_includes_others_and_its_defaults_hold_for_its_own_tasks(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(
        'name = "one"\n[defaults]\nkind = "generation"\nfit = true\n[[tasks]]\nname = "a"\nitems = "a.jsonl"\n'
        'template = { query = "{q}", answers = ["{a}"], split = { q = "(?P<r>.*)" } }\n'
    )
    (tmp_path / "both.toml").write_text(
        'name = "both"\ninclude = ["one.toml"]\n[defaults]\nkind = "cloze"\n[[tasks]]\nname = "b"\nitems = "b.jsonl"\n'
    )
    suite = read_suite(str(tmp_path / "both.toml"), "memory://sets")
    assert [(task.name, task.kind, task.fit, task.items) for task in suite.tasks] == [
        ("a", "generation", True, "memory://sets/a.jsonl"),
        ("b", "cloze", False, "memory://sets/b.jsonl"),
    ]
    copy = tmp_path / "copy.toml"
    copy.write_text(suite_text(suite))
    assert read_suite(str(copy)) == suite
    copy.write_text('name = "s"\n[[tasks]]\nname = "a"\nkind = "generation"\nitems = "x"\nsamples = 3\n')
    with pytest.raises(ConfigError, match="3 samples at temperature 0 are all equal; set it"):
        read_suite(str(copy))


def test_a_python_file_beside_the_suite_makes_rows_that_no_template_can(tmp_path: Path) -> None:
    (tmp_path / "rows.py").write_text(
        "def item(row):\n    a, b = row['sum'].split('+')\n"
        "    return {'prompt': row['sum'] + '=', 'answers': [str(int(a) + int(b))]}\n"
    )
    (tmp_path / "suite.toml").write_text(
        'name = "s"\n[[tasks]]\nname = "a"\nkind = "generation"\nitems = "a.jsonl"\ntemplate = { python = "rows.py" }\n'
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_text('{"sum": "1+2"}\n{"sum": "one"}\n')
    (task,) = read_suite(str(tmp_path / "suite.toml"), str(tmp_path / "data")).tasks
    assert task.template is not None
    assert task.files == (str(tmp_path / "data" / "a.jsonl"), str(tmp_path / "rows.py"))
    assert task.template.item({"sum": "20+5"}, 3) == {"id": "3", "prompt": "20+5=", "answers": ["25"]}
    with pytest.raises(InputError, match=r"a\.jsonl line 2: .*rows\.py: item\(row\) failed: ValueError: not enough"):
        read_rows(task.items or "", GenerationItem, task.template)
    (tmp_path / "none.py").write_text("rows = 3\n")
    with pytest.raises(InputError, match=r"none\.py has no function item\(row\); give one that returns the row"):
        Template(python=str(tmp_path / "none.py")).item({}, 0)
    with pytest.raises(InputError, match=r"cannot read .*gone\.py: No such file .*give a local Python file"):
        Template(python=str(tmp_path / "gone.py")).item({}, 0)
