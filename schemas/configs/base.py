"""What every stage config shares: strict keys, a fingerprint view, and loading from TOML plus `--set`."""

from __future__ import annotations

import datetime
import difflib
import re
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import ConfigError, InputError
from schemas.foreign_text import parse_toml

__all__ = ["STAGES", "ConfigT", "StageConfig", "load_config", "merge_settings", "parse_overrides", "read_toml"]

# One file may hold the tables of many stages; each stage reads its own.
STAGES = frozenset(
    [
        "crawl",
        "clean",
        "dedup",
        "decontaminate",
        "tokenizer",
        "tokenize",
        "mix",
        "heldout",
        "quality",
        "train",
        "tune",
        "evaluate",
        "generate",
        "finetune",
        "export",
        "demo",
        "flink",
        "up",
        "dataflow",
    ]
)


# In a URL; a value that was refused is repeated without it.
_PASSWORD = re.compile(r"(://[^:@/\s]*:)[^/\s]*@")


class StageConfig(BaseModel):
    """Base of all stage configs: frozen, unknown keys refused, every field titled, described and bounded.

    `operational` names the fields that change how a stage works but never what it writes; they stay out of the
    fingerprint. `stage` is the name of the stage and of its table in a TOML file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    stage: ClassVar[str] = ""
    operational: ClassVar[frozenset[str]] = frozenset()

    def fingerprint_view(self) -> dict[str, Any]:
        """The settings that matter for the output, as plain JSON values."""
        return self.model_dump(mode="json", exclude=set(self.operational))


ConfigT = TypeVar("ConfigT", bound=StageConfig)


def _parse_value(text: str) -> Any:
    try:
        parsed = parse_toml(f"value = {text}")
    except ValueError:
        return text
    # TOML reads 2026-01-31 as a date; settings know none, but names may look like one.
    dates = (datetime.date, datetime.time)
    return text if len(parsed) > 1 or isinstance(parsed["value"], dates) else parsed["value"]


def parse_overrides(overrides: list[str]) -> dict[str, Any]:
    """`["a=1", "model.layers=4"]` as nested values; each value is TOML where it parses as such, else a string.

    Raises:
        ConfigError: an override has no '='.
    """
    result: dict[str, Any] = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--set {override!r} is not of the form key=value")
        *parents, last = key.strip().split(".")
        target = result
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise ConfigError(f"--set {override!r}: {parent!r} was given a plain value before")
        target[last] = _parse_value(text.strip())
    return result


def merge_settings(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Nested settings with those of `over` in place of those of `base`."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge_settings(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def read_toml(path: str) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        InputError: it cannot be read.
        ConfigError: it is not TOML.
    """
    try:
        return parse_toml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read config {path}: {error.strerror}; give a TOML file that exists") from error
    except ValueError as error:
        raise ConfigError(f"config {path} is not TOML: {error}") from error


def _table_of(stage: str, content: dict[str, Any]) -> dict[str, Any]:
    section = content.get(stage)
    if isinstance(section, dict):
        return section
    return {key: value for key, value in content.items() if not (key in STAGES and isinstance(value, dict))}


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that are known at `location`, reached through nested models."""
    for part in location:
        field = model.model_fields.get(str(part))
        # An optional table is a union with None.
        for kind in get_args(field.annotation) or (field.annotation,) if field else ():
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                model = kind
    return list(model.model_fields)


def _explain(config_class: type[StageConfig], error: ValidationError) -> str:
    first = error.errors()[0]
    location = ".".join(str(part) for part in first["loc"]) or "the settings together"
    where = f"{config_class.stage}.{location}" if config_class.stage else location
    if first["type"] == "extra_forbidden":
        known = sorted(_fields_at(config_class, first["loc"][:-1]))
        close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"{where}: unknown key; {hint}known keys: {', '.join(known)}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = first["msg"].removeprefix("Value error, ")
    shown = _PASSWORD.sub(r"\1***@", repr(first["input"]))
    given = "" if first["type"] == "missing" else f", got {shown:.80}"
    return f"{where}: {message}{given}{more}"


def load_config(
    config_class: type[ConfigT], path: str | None = None, overrides: list[str] | None = None, **values: Any
) -> ConfigT:
    """Build a config from a TOML file (its table named after the stage, else the whole file), `--set` and values.

    Later ones win: file, then `overrides` (`key=value`, dotted keys reach into nested tables), then `values` that
    are not None.

    Raises:
        ConfigError: an unknown key or a wrong value; one line that names it.
        InputError: the file cannot be read.
    """
    merged = _table_of(config_class.stage, read_toml(path)) if path else {}
    merged = merge_settings(merged, parse_overrides(overrides or []))
    merged = merge_settings(merged, {key: value for key, value in values.items() if value is not None})
    try:
        return config_class.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(config_class, error)) from error
