"""From the rows of a published evaluation set to items: texts with places for the columns of a row.

A place is a column's name in braces, `{question}`; other braces are left alone. A text that is one place and nothing
else stands for as many texts as the column's list has. Columns can be cut in parts first, by the named groups of a
regular expression. What no template can say, a Python file of the user's can.
"""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.errors import InputError
from schemas.records import COLUMN_PLACE

__all__ = ["Template"]

# Where published sets keep an item's id, as decontamination reads them; else the number of its row is its id.
_IDS = ("id", "task_id", "item_id", "qid", "question_id", "idx")


def _value(row: Mapping[str, Any], column: str) -> Any:
    if column not in row:
        raise InputError(f"has no column {column!r}; it has {', '.join(row)}")
    return row[column]


@lru_cache(maxsize=64)
def _function(path: str) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    try:
        function = runpy.run_path(path).get("item")
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; give a local Python file with a function item"
        ) from error
    if not callable(function):
        raise InputError(f"{path} has no function item(row); give one that returns the row in our own form")
    found: Callable[[dict[str, Any]], Mapping[str, Any]] = function
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Template(BaseModel):
    """How a row becomes an item of a task; which texts are needed depends on the task's kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: str = Field(default="", description="What stands before the answer; for perplexity, the text itself.")
    contexts: tuple[str, ...] = Field(
        default=(),
        description="Multiple choice between beginnings of one text: a query for each choice, in place of `query`.",
    )
    choices: tuple[str, ...] = Field(default=(), description="Multiple choice: the choices.")
    gold: str = Field(default="gold", description="Column of the right choice: its number from 0, letter or text.")
    answers: tuple[str, ...] = Field(default=(), description="Right answers; the first is shown in few-shot examples.")
    split: dict[str, str] = Field(
        default_factory=dict,
        description="By column, a regular expression that matches all of it; its named groups become columns.",
    )

    python: str | None = Field(
        default=None, description="A local Python file whose function item(row) gives the row in our own form."
    )

    @field_validator("split")
    @classmethod
    def _is_regular(cls, split: dict[str, str]) -> dict[str, str]:
        for column, pattern in split.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{column}: {pattern!r} is no regular expression ({error})") from error
        return split

    def item(self, row: Mapping[str, Any], number: int) -> dict[str, Any]:
        """The item of a row, as a row of our own form.

        Args:
            row: column name to value.
            number: of the row in its file, from 0; its id where the row has none.

        Raises:
            InputError: a column is missing or has another form than the template expects; the message goes on after
                the name of file and row.
        """
        row = self._parts(row)
        given = next((row[name] for name in _IDS if isinstance(row.get(name), str | int)), number)
        item: dict[str, Any] = {"id": str(given)}
        if self.python is not None:
            try:
                return item | dict(_function(self.python)(row))
            except InputError:
                raise
            except Exception as error:  # whatever the user's own code does
                raise InputError(f"{self.python}: item(row) failed: {type(error).__name__}: {error}") from error
        if self.choices:
            contexts = self._texts(self.contexts, row)
            choices = self._texts(self.choices, row)
            if contexts and len(choices) == 1:
                choices *= len(contexts)
            item |= {"choices": choices, "answer": self._position(row, contexts or choices)}
            item |= {"contexts": contexts} if contexts else {"context": self._filled(self.query, row)}
        elif self.answers:
            item |= {"prompt": self._filled(self.query, row), "answers": self._texts(self.answers, row)}
        else:
            item |= {"text": self._filled(self.query, row)}
        return item

    def _parts(self, row: Mapping[str, Any]) -> dict[str, Any]:
        parts = dict(row)
        for column, pattern in self.split.items():
            found = re.fullmatch(pattern, _text(_value(row, column)))
            if found is None:
                raise InputError(f"column {column!r} is not matched by {pattern!r}")
            parts |= {name: part or "" for name, part in found.groupdict().items()}
        return parts

    @staticmethod
    def _filled(text: str, row: Mapping[str, Any]) -> str:
        return COLUMN_PLACE.sub(lambda place: _text(_value(row, place[1])), text)

    def _texts(self, texts: Sequence[str], row: Mapping[str, Any]) -> list[str]:
        filled: list[str] = []
        for text in texts:
            place = COLUMN_PLACE.fullmatch(text)
            value = _value(row, place[1]) if place else None
            filled += [_text(one) for one in value] if isinstance(value, list) else [self._filled(text, row)]
        return filled

    def _position(self, row: Mapping[str, Any], choices: Sequence[str]) -> int:
        gold = _value(row, self.gold)
        if isinstance(gold, str):
            letters = [chr(ord("A") + number) for number in range(len(choices))]
            known = [*choices, *letters, *map(str, range(len(choices)))]
            if gold.strip() in known:
                return known.index(gold.strip()) % len(choices)
        if isinstance(gold, int) and 0 <= gold < len(choices):
            return int(gold)
        raise InputError(f"column {self.gold!r} is {gold!r}, which is none of {len(choices)} choices")
