"""The raw files behind what a user gives as input: files, folders and fsspec URLs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipelines.sources.remote_files import describe_remote, is_http
from schemas.configs.sources import FetchConfig
from schemas.corpus_root import MANIFEST_NAME
from schemas.errors import InputError, ManifestError
from schemas.manifest import InputRecord, read_manifest
from schemas.storage import Folder

__all__ = ["InputFile", "list_inputs", "remote_file"]


@dataclass(frozen=True)
class InputFile:
    """One raw file.

    Attributes:
        url: where it lies; a whole path for local files.
        size: bytes.
        stamp: by which a change is noticed: the ETag, else the time of the last change.
    """

    url: str
    size: int
    stamp: str

    def record(self, content_digest: str | None = None) -> InputRecord:
        """The file as a manifest lists it."""
        return InputRecord(name=self.url, digest=f"{self.size}:{self.stamp}", content_digest=content_digest)


def remote_file(url: str, fetch: FetchConfig) -> InputFile:
    """The file behind a URL.

    Raises:
        InputError: there is no such file.
        StageError: the server does not answer.
    """
    about = describe_remote(url, fetch)
    return InputFile(url, about.size, about.stamp)


def _describe(fs: Any, path: str, fetch: FetchConfig) -> InputFile:
    if isinstance(fs, LocalFileSystem):
        status = Path(path).stat()
        return InputFile(path, status.st_size, str(status.st_mtime_ns))
    return remote_file(str(fs.unstrip_protocol(path)), fetch)


def _without_uncommitted(fs: Any, paths: list[str]) -> list[str]:
    """Leave out manifests of this program, and files beside one that it does not list: nobody has committed them."""
    listed: dict[str, set[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name != MANIFEST_NAME:
            continue
        try:
            manifest = read_manifest(Folder(str(fs.unstrip_protocol(folder))))
        except ManifestError:
            continue  # a file of the user's that happens to have this name
        if manifest is not None:
            listed[folder] = {file.name for table in manifest.tables.values() for file in table.files}
    return [
        p for p in paths if p.rpartition("/")[0] not in listed or p.rpartition("/")[2] in listed[p.rpartition("/")[0]]
    ]


def _plain_file(given: str) -> InputFile | None:
    """A file of this machine by its whole path, as fsspec would describe it in ten times the time."""
    if not given.startswith("/") or "::" in given:
        return None
    try:
        status = os.stat(given)  # noqa: PTH116  # a plan of a backfill asks for tens of thousands
    except (OSError, ValueError):
        return None
    return InputFile(given, status.st_size, str(status.st_mtime_ns)) if stat.S_ISREG(status.st_mode) else None


def _files_of(given: str, fetch: FetchConfig) -> list[InputFile]:
    plain = _plain_file(given)
    if plain is not None:
        return [plain]
    if is_http(given) and not given.endswith("/"):
        return [remote_file(given, fetch)]
    try:
        fs, path = fsspec.core.url_to_fs(given)
        if fs.isfile(path):
            return [_describe(fs, path, fetch)]
        if not fs.isdir(path):
            raise InputError(f"no input {given}; give a file, a folder or a URL that exists")
        paths = _without_uncommitted(fs, sorted(fs.find(path)))
        return [_describe(fs, one, fetch) for one in paths]
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"cannot read input {given}: {error}; give a file, a folder or a URL that exists") from error


def list_inputs(given: Iterable[str], fetch: FetchConfig) -> list[InputFile]:
    """Every file given or found below a folder given, once, sorted by URL.

    Raises:
        InputError: nothing is given, an input is missing or cannot be read, or there is no file in all of them.
        StageError: a server does not answer.
    """
    urls = [os.fspath(one) for one in given]
    if not urls:
        raise InputError("give --input PATH: the files or folders to clean; only --source common_crawl needs none")
    files = {file.url: file for url in urls for file in _files_of(url, fetch)}
    if not files:
        raise InputError(f"no file in {', '.join(urls)}; give a folder that holds some")
    return [files[url] for url in sorted(files)]
