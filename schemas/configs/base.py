"""What every stage config shares: strict keys, a fingerprint view, and loading from TOML plus `--set`."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import ConfigError, InputError

__all__ = ["STAGES", "ConfigT", "StageConfig", "load_config", "parse_overrides"]

# One file may hold the tables of many stages; each stage reads its own.
STAGES = frozenset(
    "crawl clean dedup decontaminate tokenizer tokenize mix heldout train evaluate generate finetune export demo".split()
)


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
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


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


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _read_toml(path: str, stage: str) -> dict[str, Any]:
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read config {path}: {error.strerror}; give a TOML file that exists") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path} is not TOML: {error}") from error
    section = content.get(stage)
    if isinstance(section, dict):
        return section
    return {key: value for key, value in content.items() if not (key in STAGES and isinstance(value, dict))}


def _explain(config_class: type[StageConfig], error: ValidationError) -> str:
    first = error.errors()[0]
    location = ".".join(str(part) for part in first["loc"]) or "the settings together"
    where = f"{config_class.stage}.{location}" if config_class.stage else location
    if first["type"] == "extra_forbidden":
        known = sorted(config_class.model_fields)
        close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"{where}: unknown key; {hint}known keys: {', '.join(known)}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = first["msg"].removeprefix("Value error, ")
    given = "" if first["type"] == "missing" else f", got {first['input']!r:.80}"
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
    merged = _read_toml(path, config_class.stage) if path else {}
    merged = _merge(merged, parse_overrides(overrides or []))
    merged = _merge(merged, {key: value for key, value in values.items() if value is not None})
    try:
        return config_class.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(config_class, error)) from error
