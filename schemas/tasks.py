"""Evaluation tasks, the rows that they are made of, and prompt/answer pairs.

A row is one JSON object a line, gzipped or not:

    multiple choice   {"id": "7", "context": "The sky is", "choices": ["blue", "heavy"], "answer": 0}
    cloze, generation {"id": "7", "prompt": "The sky is", "answers": ["blue"]}
    perplexity        {"id": "7", "text": "The sky is blue."}
    pair              {"prompt": "The sky is", "answer": "blue"}

Other keys of a row are left alone, except `group`: rows of one group (say, cut from one document) are not independent,
and standard errors take that into account. Examples for few-shot prompts are rows of the same kind as the items. Rows
of another form are read by the task's template.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from schemas.errors import InputError
from schemas.foreign_text import parse_json
from schemas.gzipped import read_gunzipped
from schemas.row_template import Template

__all__ = [
    "GenerationItem",
    "Metric",
    "MultipleChoiceItem",
    "Normalization",
    "Pair",
    "Published",
    "TaskKind",
    "TaskSpec",
    "TextItem",
    "first_problem",
    "read_rows",
]

TaskKind = Literal["multiple_choice", "cloze", "generation", "perplexity"]
Normalization = Literal["sum", "token", "character", "byte", "unconditional"]
Metric = Literal["accuracy", "exact_match", "token_f1", "bits_per_byte"]

_METRICS: dict[str, tuple[Metric, ...]] = {
    "multiple_choice": ("accuracy",),
    "cloze": ("accuracy",),
    "generation": ("exact_match", "token_f1"),
    "perplexity": ("bits_per_byte",),
}

_Text = Annotated[str, Field(min_length=1)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class MultipleChoiceItem(_Row):
    """One question with its choices; `answer` is the position of the right one.

    With `contexts`, each choice follows a context of its own and all texts end alike, so that the model's view of the
    ending is compared (Trinh and Le 2018, "A Simple Method for Commonsense Reasoning", partial evaluation).
    """

    id: str
    context: str = ""
    contexts: tuple[_Text, ...] = ()
    choices: tuple[_Text, ...] = Field(min_length=2)
    answer: int = Field(ge=0)
    group: str | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> MultipleChoiceItem:
        if self.answer >= len(self.choices):
            raise ValueError(f"answer {self.answer} is no position in {len(self.choices)} choices (they count from 0)")
        if self.contexts and len(self.contexts) != len(self.choices):
            raise ValueError(f"{len(self.contexts)} contexts for {len(self.choices)} choices; give as many")
        if not self.contexts and not self.context:
            raise ValueError("context: String should have at least 1 character")
        return self

    @model_serializer(mode="wrap")
    def _without_no_contexts(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A row of most sets, which have one context an item, has no key for several."""
        row: dict[str, Any] = handler(self)
        return row if self.contexts else {key: value for key, value in row.items() if key != "contexts"}

    def context_of(self, choice: int) -> str:
        """What stands before a choice."""
        return self.contexts[choice] if self.contexts else self.context

    @property
    def query(self) -> str:
        """What stands before the right answer."""
        return self.context_of(self.answer)

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


class TextItem(_Row):
    """One text whose likelihood is taken."""

    id: str
    text: _Text
    group: str | None = None


class Pair(_Row):
    """One prompt and its answer, for fine-tuning."""

    prompt: _Text
    answer: _Text
    group: str | None = None


class Published(BaseModel):
    """A score that a paper gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field(description="Such as gpt3-175b.")
    shots: int = Field(ge=0, description="Examples in the paper; above 1, its few-shot score.")
    value: float = Field(description="As a share where the score is one.")


class TaskSpec(BaseModel):
    """One task of a suite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name in results; unique in the suite.")
    kind: TaskKind = Field(description="What is measured.")
    items: str | None = Field(default=None, description="JSONL of the items; for perplexity none takes a split.")
    examples: str | None = Field(
        default=None,
        description="JSONL of examples for few-shot prompts; that of the items takes each from the others.",
    )
    template: Template | None = Field(default=None, description="How rows of another form become items and examples.")
    tags: tuple[str, ...] = Field(default=(), description="Names that tasks are chosen and put together by.")
    shots: tuple[Annotated[int, Field(ge=0, le=1024)], ...] = Field(
        default=(0,), min_length=1, description="How many examples stand before an item; one result for each number."
    )
    fit: bool = Field(
        default=False, description="Show as many of the examples as fit in the context, instead of cutting the prompt."
    )
    draw: Literal["item", "lm-eval", "first"] = Field(
        default="item",
        description="Examples by a draw for each item (GPT-3), by lm-evaluation-harness's sequence, or the first ones.",
    )
    description: str = Field(default="", description="Stands before the examples.")
    separator: str = Field(default="\n\n", description="Between examples, and between the last one and the item.")
    delimiter: str = Field(default=" ", description="Between a context and its answer.")
    normalization: Normalization = Field(
        default="token", description="What the log-likelihood of a choice is divided by when choices are compared."
    )
    answer_context: str = Field(
        default="Answer:", description="What an answer is likely after without the question (unconditional)."
    )
    metric: Metric | None = Field(default=None, description="The main score; the kind's first metric where not given.")
    stop: tuple[_Text, ...] = Field(default=("\n",), description="Texts that end an answer, beside end-of-text.")
    max_tokens: int = Field(default=32, ge=1, le=4096, description="Tokens of one generated answer at most.")
    temperature: float = Field(default=0.0, ge=0, le=100, description="0 takes the likeliest token; else a draw.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Draw among the likeliest tokens that make up this much.")
    samples: int = Field(default=1, ge=1, le=1000, description="Answers drawn for each item; its score is their mean.")
    compare: Literal["squad", "text"] = Field(
        default="squad", description="Answers as SQuAD does, without case, articles and punctuation, or as they are."
    )
    extract: str = Field(
        default="", description="Regular expression whose last match, or its first group, is what an answer says."
    )
    split: Literal["test", "validation"] = Field(default="test", description="The split whose perplexity is taken.")
    given: int = Field(
        default=1, ge=1, description="Tokens that a later window of a text has been given at least (1: none twice)."
    )
    published: tuple[Published, ...] = Field(default=(), description="Scores of papers, shown beside ours.")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> TaskSpec:
        if self.items is None and self.kind != "perplexity":
            raise ValueError(f"task {self.name!r}: {self.kind} needs items, a JSONL file")
        if self.metric is not None and self.metric not in _METRICS[self.kind]:
            known = ", ".join(_METRICS[self.kind])
            raise ValueError(f"task {self.name!r}: metric {self.metric} does not fit {self.kind} (known: {known})")
        if self.samples > 1 and not self.temperature:
            raise ValueError(f"task {self.name!r}: {self.samples} samples at temperature 0 are all equal; set it")
        if max(self.shots) > 0 and self.examples is None:
            raise ValueError(f"task {self.name!r}: shots {list(self.shots)} need examples, a JSONL file")
        return self

    @property
    def main_metric(self) -> Metric:
        """The metric that stands for the task."""
        return self.metric or _METRICS[self.kind][0]

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the task is read from."""
        python = None if self.template is None else self.template.python
        return tuple(dict.fromkeys(path for path in (self.items, self.examples, python) if path is not None))

    def published_at(self, shots: int) -> dict[str, float]:
        """Published scores by model under a like number of shots: none, one, or few."""
        return {one.model: one.value for one in self.published if min(one.shots, 2) == min(shots, 2)}


RowT = TypeVar("RowT", MultipleChoiceItem, GenerationItem, TextItem, Pair)


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, with its place."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _lines(url: str) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(read_gunzipped(url).split(b"\n"), start=1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise InputError(f"{url} line {number}: not UTF-8 ({error.reason}); save the file as UTF-8") from error
        if line:
            yield number, line


def _from_template(line: str, template: Template, number: int) -> Any:
    try:
        row = parse_json(line)
    except ValueError as error:
        raise InputError(f"no JSON ({error}); expected one object a line") from error
    if not isinstance(row, dict):
        raise InputError(f"is {type(row).__name__}; expected an object of named columns")
    return template.item(row, number)


def read_rows(url: str, kind: type[RowT], template: Template | None = None) -> list[RowT]:
    """The rows of a JSONL file, gzipped or not; blank lines do not count.

    Raises:
        InputError: the file cannot be read, has no row, or a row does not fit `kind` or the template; file and line are
            named.
    """
    rows: list[RowT] = []
    required = ", ".join(f'"{name}"' for name, field in kind.model_fields.items() if field.is_required())
    for number, line in _lines(url):
        try:
            if template is None:
                rows.append(kind.model_validate_json(line))
            else:
                rows.append(kind.model_validate(_from_template(line, template, len(rows))))
        except InputError as error:
            raise InputError(f"{url} line {number}: {error}") from error
        except ValidationError as error:
            raise InputError(
                f"{url} line {number}: {first_problem(error)}; expected one JSON object with {required}"
            ) from error
    if not rows:
        raise InputError(f"{url} has no row; expected JSON objects with {required}, one a line")
    return rows
