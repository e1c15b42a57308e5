"""Suites: lists of evaluation tasks, from a file of the user or of those that are shipped.

A suite is one TOML or JSON file; paths in it are relative to its folder. A file may include others. Those that are
shipped lie in `schemas/shipped_suites/` and are known by name; they hold no data, so that they are read with the folder
that the user has it in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import ConfigError, InputError
from schemas.foreign_text import parse_json, parse_toml
from schemas.storage import join_url, open_input
from schemas.tasks import TaskSpec, first_problem

__all__ = ["Suite", "read_suite", "select_tasks", "shipped_suites", "suite_text"]

_KindT = TypeVar("_KindT", list[Any], dict[str, Any])
_SHIPPED = Path(__file__).parent / "shipped_suites"


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


def shipped_suites() -> list[str]:
    """Names of the suites that are shipped."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def _parse(url: str) -> dict[str, Any]:
    with open_input(url) as stream:
        data = stream.read()
    try:
        text = data.decode("utf-8-sig")
        content = parse_json(text) if text.lstrip().startswith("{") else parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"suite {url} is neither TOML nor JSON: {error}") from error
    return dict(content)


def _part(content: dict[str, Any], key: str, kind: type[_KindT], url: str) -> _KindT:
    """Take what stands under a key out of a suite; nothing of its kind where there is nothing."""
    found = content.pop(key, None)
    if found is None:
        return kind()
    if not isinstance(found, kind):
        what = "a table" if kind is dict else "a list"
        raise ConfigError(f"suite {url}: {key} is {type(found).__name__}, expected {what}")
    return found


def _content(url: str, data: str | None, within: tuple[str, ...] = ()) -> dict[str, Any]:
    """A suite's own content with that of the files that it includes, paths made whole."""
    if url in within:
        raise ConfigError(f"suite {url} includes itself; take it out of its list or of that of {within[-1]}")
    content, folder = _parse(url), url.rpartition("/")[0]
    base = folder if data is None else data

    def whole(path: Any, base: str) -> Any:
        relative = isinstance(path, str) and base and not path.startswith("/") and "://" not in path
        return join_url(base, path) if relative else path

    tasks: list[Any] = []
    for name in _part(content, "include", list, url):
        if not isinstance(name, str):
            raise ConfigError(f"suite {url}: include holds {name!r}, expected paths of suites")
        tasks += _content(whole(name, folder), data, (*within, url))["tasks"]
    # What a suite says under [defaults] holds for those of its own tasks that say nothing else.
    defaults = _part(content, "defaults", dict, url)
    for task in _part(content, "tasks", list, url):
        if isinstance(task, dict):
            merged = {**defaults, **task}
            merged |= {key: whole(merged[key], base) for key in ("items", "examples") if key in merged}
            template = merged.get("template")
            if isinstance(template, dict) and "python" in template:  # lies beside the suite, wherever the data is
                merged["template"] = {**template, "python": whole(template["python"], folder)}
            tasks.append(merged)
        else:
            tasks.append(task)
    return {**content, "tasks": tasks}


def read_suite(url: str, data: str | None = None) -> Suite:
    """Read a suite; the paths in the result are whole.

    Args:
        url: a file, or the name of a shipped suite.
        data: folder that paths are relative to, instead of the suite's own.

    Raises:
        InputError: the file cannot be read, or a shipped suite is given without a folder.
        ConfigError: it is no suite; one line that names the file and the key.
    """
    if url in shipped_suites():
        if data is None:
            raise InputError(f"suite {url} is shipped without its data; give --data, the folder that has it")
        url = str(_SHIPPED / f"{url}.toml")
    try:
        return Suite.model_validate(_content(url, data))
    except ValidationError as error:
        raise ConfigError(f"suite {url}: {first_problem(error)}") from error


def select_tasks(suite: Suite, names: Sequence[str], tags: Sequence[str]) -> Suite:
    """The tasks with one of these names or tags; all of them where neither is given.

    Raises:
        ConfigError: a name or tag is not in the suite.
    """
    if not names and not tags:
        return suite
    known = {task.name for task in suite.tasks}, {tag for task in suite.tasks for tag in task.tags}
    for kind, asked, there in zip(("task", "tag"), (names, tags), known, strict=True):
        for one in asked:
            if one not in there:
                raise ConfigError(f"suite {suite.name} has no {kind} {one!r}; it has {', '.join(sorted(there))}")
    tasks = tuple(task for task in suite.tasks if task.name in names or set(task.tags) & set(tags))
    return suite.model_copy(update={"tasks": tasks})


def suite_text(suite: Suite) -> str:
    """A suite as TOML; settings at their defaults are left out."""
    lines = [f"name = {json.dumps(suite.name)}"]
    for task in suite.tasks:
        lines += ["", "[[tasks]]"]
        values = task.model_dump(mode="json", exclude_defaults=True)
        lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A JSON value as TOML: only objects are written otherwise."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
