"""Reading evaluation sets: JSONL, JSON, CSV, TSV, Parquet, gzipped or not, suites, and folders of all these."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.decontamination.items import Item, item_of
from schemas.errors import InputError
from schemas.foreign_text import parse_json
from schemas.gzipped import read_gunzipped
from schemas.manifest import InputRecord
from schemas.storage import Folder, join_url
from schemas.suites import read_suite

__all__ = ["EvaluationFile", "digests_of", "find_files", "read_items"]

_TABLES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_SUITE = ".toml"
_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_FIELD = 2**27  # characters of one CSV field; Python's own bound of 131,072 is below some passages


class EvaluationFile(NamedTuple):
    """One evaluation set: its name, and the file that holds its items."""

    task: str
    url: str


def _ending(name: str) -> str:
    plain = name.lower().removesuffix(".gz")
    return next((one for one in (*_TABLES, _SUITE) if plain.endswith(one)), "")


def _task_name(url: str) -> str:
    name = url.rstrip("/").rpartition("/")[2]
    name = name[: -len(".gz")] if name.lower().endswith(".gz") else name
    stem = name[: -len(_ending(name))] if _ending(name) else name
    return _NAME.sub("-", stem).strip("-.") or "items"


def _sets_of(url: str) -> list[EvaluationFile]:
    fs, path = Folder(url).filesystem()
    if not fs.exists(path):
        raise InputError(f"no file or folder {url}; give evaluation files, or a folder of them")
    if fs.isdir(path):
        names = sorted(one.removeprefix(path.rstrip("/")).strip("/") for one in fs.find(path))
        urls = [join_url(url, name) for name in names if _ending(name) in _TABLES]
        return [EvaluationFile(_task_name(one), one) for one in urls]
    if _ending(url) == _SUITE:
        return [EvaluationFile(task.name, task.items) for task in read_suite(url).tasks if task.items is not None]
    return [EvaluationFile(_task_name(url), url)] if _ending(url) else []


def find_files(urls: Sequence[str]) -> list[EvaluationFile]:
    """The sets in files, suites and folders, by name.

    A file is known by its ending, and its name is that of the set. A suite gives its own names to the files of its
    tasks; in a folder no suite is looked for, since the files that it names may lie beside it.

    Raises:
        InputError: something is not there or holds no evaluation file, or two sets have one name.
        ConfigError: a suite is malformed.
    """
    found: dict[str, str] = {}
    for given in urls:
        sets = _sets_of(given)
        if not sets:
            endings = ", ".join((*_TABLES, _SUITE))
            raise InputError(f"no evaluation file in {given}; known endings are {endings}, also with .gz")
        for one in sets:
            if found.setdefault(one.task, one.url) != one.url:
                raise InputError(
                    f"two evaluation sets have the name {one.task!r}: {found[one.task]} and {one.url}; rename a file"
                )
    return [EvaluationFile(task, found[task]) for task in sorted(found)]


def digests_of(files: Sequence[EvaluationFile]) -> tuple[InputRecord, ...]:
    """Each set with the digest of its content; where a file lies does not enter."""
    return tuple(
        InputRecord(
            name=f"evaluation/{one.task}", digest=hashlib.blake2b(read_gunzipped(one.url), digest_size=32).hexdigest()
        )
        for one in files
    )


def _text(url: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{url}: not UTF-8 ({error.reason} at byte {error.start}); save the file as UTF-8") from error


def _json_lines(url: str, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"{url} line {number}", parse_json(line)
            except ValueError as error:
                raise InputError(f"{url} line {number}: no JSON ({error}); expected one object a line") from error


def _json(url: str, text: str) -> Iterator[tuple[str, Any]]:
    try:
        content = parse_json(text)
    except ValueError:
        yield from _json_lines(url, text)  # some sets name JSON lines so
        return
    values = content.values() if isinstance(content, dict) else [content]
    lists = [value for value in values if isinstance(value, list)]
    if len(lists) != 1:
        raise InputError(f"{url} holds no list of items; expected a JSON list of objects, or one object with one list")
    yield from ((f"{url} item {number}", row) for number, row in enumerate(lists[0]))


def _table(url: str, text: str, delimiter: str) -> Iterator[tuple[str, Any]]:
    csv.field_size_limit(_MOST_FIELD)
    try:
        for number, row in enumerate(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter), start=1):
            yield f"{url} row {number}", {name: value for name, value in row.items() if name is not None}
    except csv.Error as error:
        raise InputError(f"{url} is no table of columns: {error}") from error


def _parquet(url: str, data: bytes) -> Iterator[tuple[str, Any]]:
    try:
        rows = pq.read_table(pa.BufferReader(data)).to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{url} is no Parquet file ({error}); fetch it again") from error
    yield from ((f"{url} row {number}", row) for number, row in enumerate(rows))


def _rows(url: str) -> Iterator[tuple[str, Any]]:
    data, ending = read_gunzipped(url), _ending(url)
    if ending == ".parquet":
        yield from _parquet(url, data)
    elif ending in (".csv", ".tsv"):
        yield from _table(url, _text(url, data), "," if ending == ".csv" else "\t")
    elif ending == ".json":
        yield from _json(url, _text(url, data))
    else:
        yield from _json_lines(url, _text(url, data))


def read_items(file: EvaluationFile, columns: Sequence[str] = ()) -> list[Item]:
    """The items of one set, in the order of its file.

    Raises:
        InputError: the file cannot be read, or a row is no item; the message names file and row.
    """
    items: list[Item] = []
    for number, (where, row) in enumerate(_rows(file.url)):
        if not isinstance(row, dict):
            raise InputError(f"{where} is {type(row).__name__}; expected an object of named columns")
        try:
            items.append(item_of(row, file.task, number, columns))
        except InputError as error:
            raise InputError(f"{where} {error}") from error
    if not items:
        raise InputError(f"{file.url} holds no item; leave the file out")
    return items
