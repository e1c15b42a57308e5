"""Evaluation suites, the rows of their tasks, and prompt/answer pairs.

A suite is one TOML or JSON file that lists tasks; paths in it are relative to its folder. A row is one JSON object a
line:

    multiple choice   {"id": "7", "context": "The sky is", "choices": ["blue", "heavy"], "answer": 0}
    generation        {"id": "7", "prompt": "The sky is", "answers": ["blue"]}
    pair              {"prompt": "The sky is", "answer": "blue"}

Other keys of a row are left alone, except `group`: rows of one group (say, cut from one document) are not independent,
and standard errors take that into account. Examples for few-shot prompts are rows of the same kind as the items.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import ConfigError, InputError
from schemas.storage import join_url, open_input

__all__ = [
    "GenerationItem",
    "Metric",
    "MultipleChoiceItem",
    "Normalization",
    "Pair",
    "Suite",
    "TaskKind",
    "TaskSpec",
    "read_rows",
    "read_suite",
    "suite_text",
]

TaskKind = Literal["multiple_choice", "generation", "perplexity"]
Normalization = Literal["sum", "token", "byte"]
Metric = Literal["accuracy", "exact_match", "token_f1", "bits_per_byte"]

_METRICS: dict[str, tuple[Metric, ...]] = {
    "multiple_choice": ("accuracy",),
    "generation": ("exact_match", "token_f1"),
    "perplexity": ("bits_per_byte",),
}

_Text = Annotated[str, Field(min_length=1)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class MultipleChoiceItem(_Row):
    """One question with its choices; `answer` is the position of the right one."""

    id: str
    context: _Text
    choices: tuple[_Text, ...] = Field(min_length=2)
    answer: int = Field(ge=0)
    group: str | None = None

    @model_validator(mode="after")
    def _answer_is_a_choice(self) -> MultipleChoiceItem:
        if self.answer >= len(self.choices):
            raise ValueError(f"answer {self.answer} is no position in {len(self.choices)} choices (they count from 0)")
        return self

    @property
    def query(self) -> str:
        """What stands before the answer."""
        return self.context

    @property
    def solution(self) -> str:
        """The right answer, as a few-shot example shows it."""
        return self.choices[self.answer]


class GenerationItem(_Row):
    """One prompt; any of `answers` is right."""

    id: str
    prompt: _Text
    answers: tuple[_Text, ...] = Field(min_length=1)
    group: str | None = None

    @property
    def query(self) -> str:
        """What stands before the answer."""
        return self.prompt

    @property
    def solution(self) -> str:
        """The answer that a few-shot example shows."""
        return self.answers[0]


class Pair(_Row):
    """One prompt and its answer, for fine-tuning."""

    prompt: _Text
    answer: _Text
    group: str | None = None


class TaskSpec(BaseModel):
    """One task of a suite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name in results; unique in the suite.")
    kind: TaskKind = Field(description="What is measured.")
    items: str | None = Field(default=None, description="JSONL of the items; none for perplexity.")
    examples: str | None = Field(default=None, description="JSONL of examples for few-shot prompts.")
    shots: tuple[Annotated[int, Field(ge=0, le=1024)], ...] = Field(
        default=(0,), min_length=1, description="How many examples stand before an item; one result for each number."
    )
    separator: str = Field(default="\n\n", description="Between examples, and between the last one and the item.")
    delimiter: str = Field(default=" ", description="Between a context and its answer.")
    normalization: Normalization = Field(
        default="token", description="What the log-likelihood of a choice is divided by when choices are compared."
    )
    metric: Metric | None = Field(default=None, description="The main score; the kind's first metric where not given.")
    stop: tuple[_Text, ...] = Field(default=("\n",), description="Texts that end an answer, beside end-of-text.")
    max_tokens: int = Field(default=32, ge=1, le=4096, description="Tokens of one generated answer at most.")
    split: Literal["test", "validation"] = Field(default="test", description="The split whose perplexity is taken.")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> TaskSpec:
        if (self.items is None) != (self.kind == "perplexity"):
            raise ValueError(f"task {self.name!r}: multiple_choice and generation need items, perplexity takes none")
        if self.metric is not None and self.metric not in _METRICS[self.kind]:
            known = ", ".join(_METRICS[self.kind])
            raise ValueError(f"task {self.name!r}: metric {self.metric} does not fit {self.kind} (known: {known})")
        if max(self.shots) > 0 and self.examples is None:
            raise ValueError(f"task {self.name!r}: shots {list(self.shots)} need examples, a JSONL file")
        return self

    @property
    def main_metric(self) -> Metric:
        """The metric that stands for the task."""
        return self.metric or _METRICS[self.kind][0]


class Suite(BaseModel):
    """A list of tasks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the suite's result files.")
    tasks: tuple[TaskSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Suite:
        names = [task.name for task in self.tasks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"task names must be unique, {twice[0]!r} stands twice")
        return self


RowT = TypeVar("RowT", MultipleChoiceItem, GenerationItem, Pair)


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _lines(url: str) -> Iterator[tuple[int, str]]:
    with open_input(url) as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise InputError(f"{url} line {number}: not UTF-8 ({error.reason}); save the file as UTF-8") from error
            if line:
                yield number, line


def read_rows(url: str, kind: type[RowT]) -> list[RowT]:
    """The rows of a JSONL file; blank lines do not count.

    Raises:
        InputError: the file cannot be read, has no row, or a row does not fit `kind`; file and line are named.
    """
    rows = []
    required = ", ".join(f'"{name}"' for name, field in kind.model_fields.items() if field.is_required())
    for number, line in _lines(url):
        try:
            rows.append(kind.model_validate_json(line))
        except ValidationError as error:
            raise InputError(
                f"{url} line {number}: {_first_problem(error)}; expected one JSON object with {required}"
            ) from error
    if not rows:
        raise InputError(f"{url} has no row; expected JSON objects with {required}, one a line")
    return rows


def _parse(url: str, data: bytes) -> Any:
    try:
        text = data.decode("utf-8-sig")
        return json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except ValueError as error:
        raise ConfigError(f"suite {url} is neither TOML nor JSON: {error}") from error


def read_suite(url: str) -> Suite:
    """Read a suite; the paths in the result are whole.

    Raises:
        InputError: the file cannot be read.
        ConfigError: it is no suite; one line that names the file and the key.
    """
    with open_input(url) as stream:
        content = _parse(url, stream.read())
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"suite {url}: {_first_problem(error)}") from error
    folder = url.rpartition("/")[0]

    def whole(path: str | None) -> str | None:
        relative = path is not None and folder and not path.startswith("/") and "://" not in path
        return join_url(folder, path) if path is not None and relative else path

    tasks = (t.model_copy(update={"items": whole(t.items), "examples": whole(t.examples)}) for t in suite.tasks)
    return suite.model_copy(update={"tasks": tuple(tasks)})


def suite_text(suite: Suite) -> str:
    """A suite as TOML; settings at their defaults are left out."""
    lines = [f"name = {json.dumps(suite.name)}"]
    for task in suite.tasks:
        lines += ["", "[[tasks]]"]
        values = task.model_dump(mode="json", exclude_defaults=True)
        # JSON strings, numbers and lists of these are TOML too.
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
