"""What a study leaves behind: a row of each trial, and the settings of the best one for `train --config`."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.configs.train import TrainConfig
from schemas.errors import InputError
from schemas.storage import Folder

__all__ = [
    "BEST_NAME",
    "TRIALS_NAME",
    "StudyRows",
    "TrialRow",
    "as_toml",
    "best_of",
    "read_rows",
    "write_best",
    "write_rows",
]

TRIALS_NAME, BEST_NAME = "trials.json", "best.toml"


class TrialRow(BaseModel):
    """What is known of a trial."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    state: Literal["complete", "pruned", "failed", "running"]
    values: dict[str, int | float] = Field(description="that were tried")
    parameters: int = Field(description="of the model")
    losses: dict[int, float] = Field(description="on validation, by check")
    loss: float | None = Field(description="the last one; None where it did not come so far")
    reason: str = Field(default="", description="why it ended early")


class StudyRows(BaseModel):
    """The content of `trials.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mixture: str
    tokens: int = Field(description="of a whole trial")
    planned: int = Field(description="trials")
    rows: list[TrialRow]


def best_of(rows: list[TrialRow]) -> TrialRow | None:
    """The whole trial with the lowest loss; the earlier of equal ones."""
    whole = [row for row in rows if row.state == "complete" and row.loss is not None]
    return min(whole, key=lambda row: (row.loss, row.number), default=None)


def write_rows(out: str, rows: StudyRows) -> None:
    """Write `<out>/trials.json`.

    Raises:
        OutputError: it cannot be written.
    """
    Folder(out).put_whole(TRIALS_NAME, rows.model_dump_json(indent=1).encode("utf-8"))


def read_rows(out: str) -> StudyRows:
    """The rows of a study.

    Raises:
        InputError: there is none in this folder.
    """
    folder = Folder(out)
    if not folder.exists(TRIALS_NAME):
        raise InputError(f"no study in {out} (it has no {TRIALS_NAME}); run `corpusmill tune --out {out}` first")
    return StudyRows.model_validate_json(folder.read(TRIALS_NAME))


def _value(value: Any) -> str:
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)


def as_toml(settings: dict[str, Any], table: str = "train") -> str:
    """Settings, plain values and tables of these, as a table of TOML; what is None is left out."""
    known = {key: value for key, value in settings.items() if value is not None}
    lines = [f"[{table}]", *(f"{key} = {_value(value)}" for key, value in known.items() if not isinstance(value, dict))]
    tables = [as_toml(value, f"{table}.{key}") for key, value in known.items() if isinstance(value, dict)]
    return "\n\n".join(["\n".join(lines), *tables]).rstrip() + "\n"


def write_best(out: str, base: TrainConfig, trained: TrainConfig, row: TrialRow) -> None:
    """Write `<out>/best.toml`: what was given for `train`, with what the best trial has found.

    Raises:
        OutputError: it cannot be written.
    """
    given = base.model_dump(mode="json", exclude_unset=True, exclude={"preset", "steps", "model"})
    found = {
        "batch": trained.batch,
        "micro_batch": trained.micro_batch,
        "learning_rate": trained.learning_rate,
        "warmup_tokens": trained.warmup_tokens,
        "model": trained.model.model_dump(mode="json"),
    }
    head = f"# Trial {row.number + 1}: loss {row.loss:.4f} on held-out windows after {trained.steps} steps.\n"
    Folder(out).put_whole(BEST_NAME, (head + as_toml({**given, **found})).encode("utf-8"))
