"""A training run's folder, and its own description in it: enough to load its model or to go on with it.

<run>/config.json    tokenizer.json    metrics.jsonl    samples.jsonl    checkpoints/step-000300/…
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.configs.model import ModelConfig
from schemas.errors import ConfigError, InputError, ManifestError
from schemas.foreign_text import parse_json
from schemas.storage import Folder

__all__ = [
    "RunConfig",
    "checkpoint_folder",
    "checkpoint_steps",
    "latest_step",
    "read_run",
    "require_run",
    "require_same_run",
    "write_run",
]

RUN_VERSION = 1
_CONFIG_NAME = "config.json"
_CHECKPOINT_NAME = re.compile(r"step-(\d{6,})")
# Where the corpus lies may change; the digest of the plan says whether it is the same corpus.
_MAY_DIFFER = frozenset({"root", "mixture"})


class RunConfig(BaseModel):
    """See the module's text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = RUN_VERSION
    kind: Literal["train", "finetune", "import"] = "train"
    root: str = Field(description="URL of the corpus; empty where the model came from elsewhere")
    mixture: str = Field(description="name of the mixture plan in the corpus; empty where there is none")
    plan_digest: str
    tokenizer: str = Field(description="name of the tokenizer in the corpus, or of the folder it came from")
    end_of_text: int
    model: ModelConfig
    seed: int = Field(description="of the initial weights")
    settings: dict[str, Any] = Field(description="what else decides about the weights, from the stage's config")
    base: str | None = Field(default=None, description="of a fine-tuned run: the run it started from")


def write_run(run: str, config: RunConfig) -> None:
    """Write `<run>/config.json`, whole.

    Raises:
        OutputError: the run's folder cannot be written.
    """
    Folder(run).put_whole(_CONFIG_NAME, config.model_dump_json(indent=1).encode("utf-8"))


def read_run(run: str) -> RunConfig | None:
    """The description of a run; None where there is none.

    Raises:
        ManifestError: it is damaged or of a version this code does not read.
    """
    folder = Folder(run)
    if not folder.exists(_CONFIG_NAME):
        return None
    where = f"{run}/{_CONFIG_NAME}"
    try:
        content = parse_json(folder.read(_CONFIG_NAME))
        if content.get("schema_version") != RUN_VERSION:
            raise ManifestError(
                f"{where} has version {content.get('schema_version')}, this program reads {RUN_VERSION}"
            )
        return RunConfig.model_validate(content)
    except (ValueError, AttributeError, ValidationError) as error:
        raise ManifestError(f"{where} is damaged: {error}") from error


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for key, part in value.items() for k, v in _flat(part, f"{prefix}.{key}" if prefix else key).items()}


def require_same_run(run: str, stored: RunConfig, wanted: RunConfig) -> None:
    """Check that going on with a run means the same run.

    Raises:
        ConfigError: a setting that decides about the weights differs; the message names it.
    """
    old, new = (
        _flat({key: value for key, value in one.model_dump(mode="json").items() if key not in _MAY_DIFFER})
        for one in (stored, wanted)
    )
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            name = key.removeprefix("settings.")
            raise ConfigError(
                f"{Path(run).name}: {name} was {old.get(key)!r} when this run began and is {new.get(key)!r} now; "
                "give the old value to go on, or another --run folder"
            )


def require_run(run: str) -> RunConfig:
    """The description of a run that must be there.

    Raises:
        InputError: there is no run in this folder.
        ManifestError: its description is damaged.
    """
    config = read_run(run)
    if config is None:
        raise InputError(
            f"no training run in {run} (it has no {_CONFIG_NAME}); run `corpusmill train --run {run}` first"
        )
    return config


def checkpoint_folder(run: str, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return Path(run) / "checkpoints" / f"step-{step:06d}"


def checkpoint_steps(run: str) -> list[int]:
    """Steps that have a checkpoint, ascending."""
    folder = Path(run) / "checkpoints"
    if not folder.is_dir():
        return []
    return sorted(int(match[1]) for entry in folder.iterdir() if (match := _CHECKPOINT_NAME.fullmatch(entry.name)))


def latest_step(run: str) -> int | None:
    """The newest step that has a checkpoint; None where there is none."""
    steps = checkpoint_steps(run)
    return steps[-1] if steps else None
