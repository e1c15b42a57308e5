"""From a row of an evaluation file to an item: what is asked, what is right, what else stands there to choose.

Evaluation sets are published in many shapes. A row is read by the names of its columns: texts that ask, answers, and
choices with the position, the letter or the text of the right one. A row of another shape is no guess: the user names
its columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from schemas.errors import InputError

__all__ = ["Item", "item_of"]

Row = Mapping[str, Any]

# Columns that ask, joined in the order in which a row has them; columns that answer; columns that hold wrong answers.
_QUESTIONS = frozenset(
    {
        "passage",
        "story",
        "article",
        "document",
        "support",
        "background",
        "premise",
        "hypothesis",
        "context",
        "ctx",
        "sentence",
        "sentence1",
        "sentence2",
        "query",
        "question",
        "prompt",
        "problem",
        "instruction",
        "input",
        "text",
        "goal",
    }
)
_ANSWERS = (
    "answer",
    "answers",
    "continuation",
    "completion",
    "canonical_solution",
    "solution",
    "target",
    "targets",
    "output",
    "correct_answer",
    "best_answer",
    "aliases",
)
_WRONG = ("distractors", "incorrect_answers", "distractor1", "distractor2", "distractor3", "chain_of_thought")
_CHOICES = ("choices", "options", "endings")
_GOLD = ("gold", "label", "answerKey", "answer_index", "answer", "correct")
_IDS = ("id", "task_id", "item_id", "qid", "question_id", "idx")


class Item(NamedTuple):
    """One item of an evaluation set.

    Attributes:
        task: name of the set.
        id: of the item in it; its number from 0, as text, where the file gives none.
        question: what stands before an answer.
        answers: right answers; the first one is the item's own.
        others: wrong answers, and what else stands in the row.
    """

    task: str
    id: str
    question: str
    answers: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def _texts(value: Any) -> list[str]:
    """All texts in a value, in order; numbers are texts, dictionaries give theirs under `text`."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [str(value)]
    if isinstance(value, Mapping):
        return _texts(value["text"]) if "text" in value else [one for part in value.values() for one in _texts(part)]
    return [one for part in value for one in _texts(part)] if isinstance(value, Sequence) else []


def _position(row: Row, choices: Sequence[str]) -> int | None:
    """The position of the right choice, given as a number from 0, as a letter or label, or as the text itself."""
    named: Row = next((row[name] for name in _CHOICES if isinstance(row.get(name), Mapping)), {})
    labels = [str(one) for one in named.get("label", ())] or [chr(ord("A") + n) for n in range(len(choices))]
    for gold in (row[name] for name in _GOLD if name in row):
        if isinstance(gold, int) and not isinstance(gold, bool) and 0 <= gold < len(choices):
            return gold
        if isinstance(gold, str) and gold in choices:
            return choices.index(gold)
        if isinstance(gold, str) and gold.strip() in labels:
            return labels.index(gold.strip())
        if isinstance(gold, str) and gold.strip().isdecimal() and int(gold) < len(choices):
            return int(gold)
    return None


def _of_columns(row: Row, columns: Sequence[str]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    missing = [name for name in columns if name not in row]
    if missing:
        raise InputError(f"has no column {missing[0]!r}; it has {', '.join(map(str, row))}")
    return "\n".join(one for name in columns for one in _texts(row[name])), (), ()


def _of_known_shape(row: Row) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    question = "\n".join(one for name in row if name in _QUESTIONS for one in _texts(row[name]))
    if contexts := _texts(row.get("context_options")):
        endings = _texts(row.get("continuation")) or [""]
        wholes = [f"{one} {endings[0]}" for one in contexts]
        right = _position({**row, "choices": contexts}, contexts) or 0
        return wholes[right], (), tuple(one for n, one in enumerate(wholes) if n != right)
    others = [one for name in _WRONG for one in _texts(row.get(name))]
    choices = next((found for name in _CHOICES if (found := _texts(row.get(name)))), [])
    if choices:
        gold = _position(row, choices)
        if gold is None:
            return question, (), (*choices, *others)
        return question, (choices[gold],), (*(one for n, one in enumerate(choices) if n != gold), *others)
    answers = dict.fromkeys(one for name in _ANSWERS for one in _texts(row.get(name)))
    return question, tuple(answers), tuple(others)


def item_of(row: Row, task: str, number: int, columns: Sequence[str] = ()) -> Item:
    """The item that a row is.

    Args:
        row: column name to value.
        task: name of the set.
        number: of the row in its file, from 0.
        columns: where given, the columns whose texts are the item.

    Raises:
        InputError: the row has no text under a name that is known or was given; the message goes on after the name of
            file and row.
    """
    question, answers, others = _of_columns(row, columns) if columns else _of_known_shape(row)
    if not (question or answers or others):
        raise InputError(
            f"has no text under a name that is known (columns: {', '.join(map(str, row))}); name the columns that hold "
            'its texts, as in --set columns=\'["title", "body"]\''
        )
    given = next((row[name] for name in _IDS if isinstance(row.get(name), str | int)), number)
    return Item(task, str(given), question, answers, others)
