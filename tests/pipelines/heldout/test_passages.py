from __future__ import annotations

import json
import pydoc
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cleaning.sentences import sentence_ends
from pipelines.heldout.passages import Cut, continuations, last_characters, last_words, pairs, phrases


def ends(text: str) -> list[int]:
    return sentence_ends(text, "en")


PAGE = """json (version 2.0.9)

Package Contents

decoder

Classes

builtins.ValueError(builtins.Exception)
JSONDecodeError(ValueError)

class JSONDecodeError(builtins.ValueError)
		JSONDecodeError(msg, doc, pos)

Subclass of ValueError with the following additional properties: call dumps(obj) to see one.

Methods defined here:
__init__(self, msg, doc, pos)
Initialize self.  See help(type(self)) for accurate signature.
add_note(...)
with_traceback(tb, /) method of builtins.Exception
__new__(*args, **kwargs) from builtins.type

Functions

dump(obj, fp, *, separators=(', ', ': '), default=None)
Serialize ``obj`` as a JSON formatted stream.
loads(s) -> object
close()
"""


def test_documentation_gives_signatures_and_summaries_named_after_their_class() -> None:
    assert list(pairs(PAGE, ends(PAGE), "json", 80)) == [
        Cut("signature", "JSONDecodeError", "(msg, doc, pos)"),
        Cut(
            "summary",
            "JSONDecodeError",
            "Subclass of ValueError with the following additional properties: call dumps(obj)",
        ),
        Cut("signature", "JSONDecodeError.__init__", "(self, msg, doc, pos)"),
        Cut("summary", "JSONDecodeError.__init__", "Initialize self."),
        Cut("signature", "JSONDecodeError.with_traceback", "(tb, /)"),
        Cut("signature", "JSONDecodeError.__new__", "(*args, **kwargs)"),
        Cut("signature", "dump", "(obj, fp, *, separators=(', ', ': '), default=None)"),
        Cut("summary", "dump", "Serialize ``obj`` as a JSON formatted stream."),
        Cut("signature", "loads", "(s) -> object"),
    ]


def test_long_answers_are_left_out() -> None:
    assert max(len(cut.answer) for cut in pairs(PAGE, ends(PAGE), None, 20)) <= 20


def test_real_pydoc_pages_give_signatures() -> None:
    text = pydoc.plain(pydoc.render_doc(json.JSONDecoder))
    lines = "\n".join(line.strip(" |") for line in text.splitlines())
    found = {cut.prompt: cut.answer for cut in pairs(lines, ends(lines), None, 80) if cut.kind == "signature"}
    assert found["JSONDecoder.raw_decode"] == "(self, s, idx=0)"


def test_prose_gives_its_opening_and_the_ends_of_its_sentences() -> None:
    text = "Short one. The old dog sees a small red cat near the road today.\nIt runs away quickly then!"
    assert list(pairs(text, ends(text), "The  dog\nand cat", 60)) == [
        Cut("opening", "The dog and cat", "The old dog sees a small red cat near the road today."),
        Cut("ending", "The old dog sees a small", "red cat near the road today."),
    ]
    assert [cut.kind for cut in pairs(text, ends(text), None, 60)] == ["ending"]
    assert list(pairs(text, ends(text), None, 10)) == []


def test_continuations_are_what_follows_in_the_text() -> None:
    text = "One two three four five. Six seven eight nine ten eleven.\nTwelve thirteen fourteen fifteen sixteen."
    assert list(continuations(text, ends(text), 40, 24)) == [
        Cut("continuation", "One two three four five. ", "Six seven eight nine ten")
    ]
    assert list(continuations(text, ends(text), 50, 34))[-1] == Cut(
        "continuation", "three four five. Six seven eight nine ten eleven.\n", "Twelve thirteen fourteen fifteen"
    )


@given(st.lists(st.text(string.ascii_letters, min_size=1, max_size=9), min_size=1, max_size=80))
def test_continuations_keep_whole_words_and_bounds(words: list[str]) -> None:
    text = ". ".join(" ".join(words[i : i + 7]) for i in range(0, len(words), 7))
    for cut in continuations(text, ends(text), 60, 30):
        assert cut.prompt + cut.answer in text
        assert 15 <= len(cut.answer) <= 30
        assert len(cut.prompt) <= 60
        assert set(cut.answer.replace(".", " ").split()) <= set(text.replace(".", " ").split())
        assert set(cut.prompt.replace(".", " ").split()) <= set(text.replace(".", " ").split())


def test_last_words_are_words_and_their_sentence_stands_on_one_line() -> None:
    text = "It was a\nlong and quiet day on the old road. And x y z 42. He saw no. All of the things end near here!"
    whole = "It was a long and quiet day on the old road. And x y z 42. He saw no. All of the things end near"
    assert list(last_words(text, ends(text))) == [
        Cut("last-word", "It was a long and quiet day on the old", "road"),
        Cut("last-word", whole, "here"),
    ]


def test_an_abbreviation_ends_no_sentence() -> None:
    text = "The letter went to Prof. Lane of the old school in the town. She read it twice again on the train."
    assert [cut.answer for cut in last_words(text, ends(text))] == ["town", "train"]
    assert [cut.prompt for cut in continuations(text, ends(text), 100, 30)] == [text[: text.index("She")]]
    assert [cut.answer for cut in pairs(text, ends(text), None, 60)] == [
        "the old school in the town.",
        "again on the train.",
    ]


def test_last_characters_begin_with_a_word() -> None:
    assert last_characters("alpha beta gamma", 9) == "gamma"
    assert last_characters("alpha beta gamma", 10) == "beta gamma"
    assert last_characters("alpha", 10) == "alpha"
    assert last_characters("alphabeta", 3) == ""


def test_phrases_are_three_words_that_have_capitals() -> None:
    assert list(phrases("see the old dog, and two 42 cats\nWhy über straße gut")) == [
        Cut("rewrite", "see the old", "SEE THE OLD"),
        Cut("rewrite", "Why über straße", "WHY ÜBER STRASSE"),
    ]
    assert list(phrases("ALL ARE CAPITALS 我们的 语言是 汉语的")) == []


@pytest.mark.parametrize(
    "text", ["", "\n" * 900_000, "a" * 900_000, "a " * 2, "a" * 5000, "(" * 3000, "f(" * 2000, "\ufffd\x00"]
)
def test_odd_texts_give_nothing_and_take_no_time(text: str) -> None:
    cuts = [
        *pairs(text, ends(text), text, 80),
        *continuations(text, ends(text), 60, 30),
        *last_words(text, ends(text)),
        *phrases(text),
    ]
    assert cuts == []
