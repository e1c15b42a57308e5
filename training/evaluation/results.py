"""What an evaluation writes: one JSON of scores, one JSONL of what was measured on each item."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import ManifestError
from schemas.storage import Folder

__all__ = ["EvaluationResult", "ItemRecord", "Score", "read_records", "read_result", "result_name", "write_result"]

RESULT_VERSION = 2
# Prompts repeat their examples, so that gzip leaves a tenth.
_ITEMS = "-items.jsonl.gz"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ItemRecord(_Record):
    """One item under one number of shots."""

    task: str
    shots: int
    id: str
    group: str | None
    truncated: bool = Field(description="whether examples or context were cut from the left to fit")
    metrics: dict[str, float]
    prompt: str = Field(default="", description="what the model was given; of texts for perplexity their beginning")
    examples: list[str] = Field(default_factory=list, description="items that stand in the prompt as examples")
    detail: dict[str, Any] = Field(description="log-likelihoods of the choices, or the generated answer")


class Score(_Record):
    """One number: a task under one number of shots."""

    task: str
    kind: str
    shots: int
    metric: str
    convention: str = Field(default="", description="how the metric was taken")
    tags: tuple[str, ...] = ()
    value: float | None = Field(description="null where there was nothing to score")
    standard_error: float | None = Field(description="over groups of items; null under two groups")
    n: int = Field(description="items, or tokens for perplexity")
    groups: int = Field(description="documents that the items were cut from, or windows for perplexity")
    chance: float | None = Field(
        description="of a blind choice; for generation, of always giving the commonest example answer"
    )
    untrained: float | None = Field(default=None, description="the same score of the model before training")
    untrained_standard_error: float | None = None
    untrained_n: int = Field(default=0, description="items, or tokens, that the untrained model was scored on")
    truncated: int = Field(default=0, description="items whose prompt was cut from the left")
    shown: float | None = Field(default=None, description="examples that stood in a prompt, on average")
    others: dict[str, float] = Field(default_factory=dict, description="further metrics of the same items")
    other_errors: dict[str, float] = Field(default_factory=dict, description="standard errors of those that have one")
    published: dict[str, float] = Field(
        default_factory=dict, description="by model, the score of a paper under a like number of shots"
    )
    clean: float | None = Field(default=None, description="the same score of items that no training text has words of")
    clean_standard_error: float | None = None
    clean_n: int = 0
    dirty: float | None = Field(default=None, description="of the items that training text has words of")
    dirty_standard_error: float | None = None
    dirty_n: int = 0
    note: str = ""


class EvaluationResult(_Record):
    """All scores of one checkpoint on one suite."""

    schema_version: int = RESULT_VERSION
    fingerprint: str = Field(description="of suite, items, settings and checkpoint: equal means nothing is left to do")
    suite: str
    run: str
    kind: str = Field(description="train, finetune or import")
    step: int
    mixture: str
    parameters: int
    scores: tuple[Score, ...]
    seconds: float


def result_name(suite: str, step: int) -> str:
    """File name of a result, without its ending."""
    return f"{suite}-step-{step}"


def read_result(folder: Folder, name: str) -> EvaluationResult | None:
    """A stored result; None where there is none that this version can read, so that it is made again."""
    if not folder.exists(f"{name}.json"):
        return None
    try:
        return EvaluationResult.model_validate_json(folder.read(f"{name}.json"))
    except ValidationError:
        return None


def write_result(folder: Folder, name: str, result: EvaluationResult, records: list[ItemRecord]) -> None:
    """Write records first and the scores last: scores that are there have their records beside them.

    Raises:
        OutputError: the run's folder cannot be written.
    """
    lines = "".join(record.model_dump_json() + "\n" for record in records)
    folder.put_whole(f"{name}{_ITEMS}", gzip.compress(lines.encode("utf-8"), 6, mtime=0))
    folder.put_whole(f"{name}.json", result.model_dump_json(indent=1).encode("utf-8"))


def read_records(folder: Folder, name: str) -> Iterator[ItemRecord]:
    """What was measured on each item of a stored result; nothing where there is none.

    Raises:
        ManifestError: the file is damaged.
    """
    if not folder.exists(f"{name}{_ITEMS}"):
        return
    try:
        for line in gzip.decompress(folder.read(f"{name}{_ITEMS}")).splitlines():
            yield ItemRecord.model_validate_json(line)
    except (OSError, EOFError, ValidationError) as error:
        raise ManifestError(f"{folder.url}/{name}{_ITEMS} is damaged ({error}); evaluate again") from error
