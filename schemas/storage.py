"""Files behind any fsspec URL, and the two ways in which a whole file appears at once.

On a local file system a file is written under a temporary name, synced and renamed; on an object store one PUT makes
a whole object visible. Readers never see half a file either way.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import InputError, OutputError

__all__ = ["TEMPORARY_SUFFIX", "Folder", "file_checksum", "join_url", "open_input"]

TEMPORARY_SUFFIX = ".tmp"  # of a file that is still being written; `gc` removes what is left of it


def join_url(base: str, *parts: str) -> str:
    """Join a URL or path and relative parts with single slashes."""
    return "/".join([base.rstrip("/"), *(part.strip("/") for part in parts if part)])


def open_input(url: str) -> IO[bytes]:
    """Open a file for reading.

    Raises:
        InputError: there is no such file, or it cannot be opened.
    """
    try:
        return fsspec.open(url, "rb").open()  # type: ignore[no-any-return]
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"cannot read {url}: {error}; give a file that exists and that you may read") from error


def _cannot_write(where: str, error: OSError) -> OutputError:
    return OutputError(f"cannot write {where}: {error}; free some space or give another folder")


# Of the place that is written to; other failures in the body of `open_write` are of something else, such as reading.
_PLACE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})
_CHECKSUM_BYTES = 4 * 2**20
_REMOVALS = 20  # a worker that nobody waits for any more may still write while its folder goes
_NO_FOLDER = (FileExistsError, NotADirectoryError, IsADirectoryError)


@contextmanager
def _writing(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _PLACE_ERRORS or isinstance(error, _NO_FOLDER):
            raise _cannot_write(target, error) from error
        raise


@contextmanager
def _whole_object(fs: Any, target: str) -> Iterator[IO[bytes]]:
    """A local file that becomes an object when the body has ended well.

    A stream into the store itself would not do: closing it makes the object, and so does forgetting it.
    """
    with tempfile.NamedTemporaryFile() as stream:
        yield stream
        stream.flush()
        try:
            fs.put_file(stream.name, target)
        except OSError as error:
            raise _cannot_write(target, error) from error


def _found(url: str) -> tuple[Any, str]:
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise InputError(f"cannot use {url}: {error}; give a path or a URL like s3://bucket/folder") from error
    return fs, path


_absolute = functools.lru_cache(4096)(_found)


@dataclass(frozen=True)
class Folder:
    """A folder behind any fsspec URL; a value, so it travels to workers."""

    url: str

    def filesystem(self) -> tuple[Any, str]:
        """The fsspec file system and the path on it.

        Raises:
            InputError: no file system is known, or installed, for a URL of this kind.
        """
        # A run asks thousands of times. File systems behind a network belong to a process and a thread, so they are not
        # kept here; fsspec keeps them.
        return _absolute(self.url) if self.url.startswith("/") else _found(self.url)

    @property
    def is_local(self) -> bool:
        """Whether the folder lies on a local file system, where a rename is atomic."""
        return isinstance(self.filesystem()[0], LocalFileSystem)

    def child(self, *parts: str) -> Folder:
        """A folder below this one."""
        return Folder(join_url(self.url, *parts))

    def path(self, name: str = "") -> str:
        """The path of a file here as its file system spells it (a plain path for local folders)."""
        _, path = self.filesystem()
        return f"{path.rstrip('/')}/{name}" if name else str(path)

    def exists(self, name: str = "") -> bool:
        """Whether a file (or this folder, without a name) is there."""
        fs, _ = self.filesystem()
        fs.invalidate_cache()
        return bool(fs.exists(self.path(name)))

    def make(self) -> None:
        """Make the folder.

        Raises:
            OutputError: it cannot be made or written.
        """
        fs, path = self.filesystem()
        try:
            fs.makedirs(path, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write to {self.url}: {error}; give a folder that you may write") from error

    def read(self, name: str) -> bytes:
        """The bytes of a file here."""
        fs, _ = self.filesystem()
        return bytes(fs.cat_file(self.path(name)))

    def open_read(self, name: str) -> IO[bytes]:
        """Open a file here for reading."""
        fs, _ = self.filesystem()
        return fs.open(self.path(name), "rb")  # type: ignore[no-any-return]

    def open_arrow(self, name: str) -> Any:
        """Open a file here for Arrow's readers, a `pyarrow.NativeFile`: mapped where it is local.

        With a file of Python's in between, each page of a Parquet file is asked for in Python.
        """
        import pyarrow as pa

        return pa.memory_map(self.path(name)) if self.is_local else pa.PythonFile(self.open_read(name), mode="r")

    @contextmanager
    def open_write(self, name: str, *, durable: bool = True) -> Iterator[IO[bytes]]:
        """Open a file here for writing; it has its name once the body is through, and not before.

        Two attempts at one piece of work may overlap, where an engine gave up on a worker that was only slow: both
        write the same bytes, and neither is ever seen half written.

        Args:
            name: of the file.
            durable: whether it has to be there after a power failure too; what a rerun makes anew need not.

        Raises:
            OutputError: the place cannot be written.
        """
        target = self.path(name)
        with _writing(target):
            fs, _ = self.filesystem()
            self.make()
            if not self.is_local:
                with _whole_object(fs, target) as stream:
                    yield stream
                return
            temporary = Path(f"{target}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
            try:
                with temporary.open("wb") as stream:
                    yield stream
                    if durable:
                        stream.flush()
                        os.fsync(stream.fileno())
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)

    def put_whole(self, name: str, data: bytes) -> None:
        """Write a file so that readers see all of it or none.

        Raises:
            OutputError: the place cannot be written.
        """
        fs, _ = self.filesystem()
        self.make()
        target = self.path(name)
        try:
            if not self.is_local:
                fs.pipe_file(target, data)
                return
            temporary = Path(f"{target}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        except OSError as error:
            raise _cannot_write(target, error) from error

    def move_in(self, source: Folder, name: str, new_name: str | None = None) -> None:
        """Move a file from another folder of the same file system into this one, replacing what is there."""
        fs, _ = self.filesystem()
        self.make()
        if self.is_local:
            Path(source.path(name)).replace(self.path(new_name or name))
        else:
            fs.mv(source.path(name), self.path(new_name or name))

    def names(self) -> list[str]:
        """Names of the files directly in this folder, sorted; empty where the folder is missing."""
        fs, path = self.filesystem()
        fs.invalidate_cache()
        try:
            entries = fs.ls(path, detail=True)
        except FileNotFoundError:
            return []
        return sorted(entry["name"].rsplit("/", 1)[-1] for entry in entries if entry["type"] == "file")

    def files_below(self) -> list[str]:
        """Paths of all files here and in folders below, relative and sorted; empty where the folder is missing."""
        fs, path = self.filesystem()
        fs.invalidate_cache()
        prefix = path.rstrip("/") + "/"
        return sorted(found.removeprefix(prefix) for found in fs.find(path) if found.startswith(prefix))

    def find(self, file_name: str) -> list[str]:
        """Folders below this one, relative and sorted, that hold a file of this name."""
        if self.is_local:
            return sorted(_folders_with(self.path(), file_name))
        end = f"/{file_name}"
        return sorted(path.removesuffix(end) for path in self.files_below() if path.endswith(end))

    def remove(self, name: str) -> None:
        """Remove a file here; nothing happens where there is none."""
        fs, _ = self.filesystem()
        try:
            fs.rm_file(self.path(name))
        except FileNotFoundError:
            return

    def remove_tree(self) -> None:
        """Remove this folder and all below it; nothing happens where there is none."""
        fs, path = self.filesystem()
        for _ in range(_REMOVALS):
            try:
                fs.rm(path, recursive=True)
            except FileNotFoundError:
                if not self.exists():
                    return
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise


def _folders_with(base: str, file_name: str) -> Iterator[str]:
    """As `Folder.find`, in a tenth of the time that fsspec takes for asking about each file."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(f"{base}/{folder}") as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{folder}/{entry.name}" if folder else entry.name)
                    elif entry.name == file_name and folder:
                        yield folder
        except OSError:
            continue  # it went while others were looked at, or is not ours to read


def file_checksum(folder: Folder, name: str) -> str:
    """BLAKE2b-256 of the bytes of a file, in hexadecimal; a few MiB of it are in memory at once.

    Raises:
        FileNotFoundError: there is none.
    """
    state = hashlib.blake2b(digest_size=32)
    with folder.open_read(name) as stream:
        while data := stream.read(_CHECKSUM_BYTES):
            state.update(data)
    return state.hexdigest()
