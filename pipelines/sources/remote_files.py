"""Remote files read whole or not at all: tried again with growing waits, resumed where a connection was cut.

Every byte handed out is the next one of the file. What does not come after all attempts fails the partition; a file
never just ends early.
"""

from __future__ import annotations

import hashlib
import io
import time
from typing import IO, Any, Protocol

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from pipelines.sources.http_files import CutError, HttpStore, RemoteInfo
from schemas.configs.sources import FetchConfig
from schemas.errors import InputError, StageError
from schemas.storage import open_input

__all__ = ["FsspecStore", "ResumingFile", "describe_remote", "is_http", "open_source"]

_READ_AHEAD_BYTES = 2**20
# Failures are in a row until so much has come between two; a server that cuts after every few bytes is as good as dead.
_PROGRESS_BYTES = 2**16
_STAMPS = ("ETag", "etag", "mtime", "LastModified", "created")


class _Store(Protocol):
    """One file somewhere else; failures that may pass are OSErrors."""

    def describe(self) -> RemoteInfo: ...

    def open_at(self, position: int, info: RemoteInfo) -> Any: ...


class FsspecStore:
    """One file of a store that fsspec knows, such as a bucket."""

    def __init__(self, url: str) -> None:
        """Nothing is asked yet."""
        self._url = url
        self._fs, self._path = fsspec.core.url_to_fs(url)

    def _missing(self, error: OSError) -> InputError:
        return InputError(f"cannot read {self._url}: {error}; give a file that exists and that you may read")

    def describe(self) -> RemoteInfo:
        """Size and stamp.

        Raises:
            InputError: there is no such file, or it is not for us.
        """
        try:
            info = self._fs.info(self._path)
        except (FileNotFoundError, PermissionError) as error:
            raise self._missing(error) from error
        return RemoteInfo(int(info["size"]), str(next((info[key] for key in _STAMPS if info.get(key)), "")))

    def open_at(self, position: int, info: RemoteInfo) -> Any:
        """The bytes from `position` on.

        Raises:
            InputError: there is no such file, or it is not for us.
        """
        try:
            stream = self._fs.open(self._path, "rb")
        except (FileNotFoundError, PermissionError) as error:
            raise self._missing(error) from error
        stream.seek(position)
        return stream


def is_http(url: str) -> bool:
    """Whether this is the URL of a web server."""
    return url.startswith(("http://", "https://"))


def _store(url: str, fetch: FetchConfig) -> _Store:
    return HttpStore(url, fetch) if is_http(url) else FsspecStore(url)


class _Patience:
    """Counts failures in a row, and waits between attempts."""

    def __init__(self, url: str, fetch: FetchConfig) -> None:
        self._url = url
        self._fetch = fetch
        self._failures = 0
        self._failed_at = 0

    def progress(self, position: int) -> None:
        """So far have we come."""
        if position - self._failed_at >= _PROGRESS_BYTES:
            self._failures = 0

    def failed(self, error: OSError, position: int, size: int | None) -> None:
        """Wait before the next attempt.

        Raises:
            StageError: that was the last attempt.
        """
        self._failures += 1
        self._failed_at = position
        if self._failures >= self._fetch.attempts:
            where = f"at byte {position} of {size}" if size is not None else "before its size was known"
            raise StageError(
                f"cannot read {self._url}: {self._failures} attempts in a row failed, the last {where} "
                f"({' '.join(str(error).split())[:300]}); nothing was committed, run the same command again when the "
                "server answers, or give it more attempts (fetch.attempts)"
            ) from error
        time.sleep(self._wait(error))

    def _wait(self, error: OSError) -> float:
        doubled = self._fetch.first_wait_seconds * 2.0 ** (self._failures - 1)
        # Between half and all of it, by the file: workers that failed together do not come back together.
        digest = hashlib.blake2b(f"{self._url} {self._failures}".encode(), digest_size=2).digest()
        spread = doubled * (0.5 + int.from_bytes(digest, "big") / 2**17)
        asked = error.wait_seconds if isinstance(error, CutError) else 0.0
        return min(max(spread, asked), self._fetch.longest_wait_seconds)


def describe_remote(url: str, fetch: FetchConfig) -> RemoteInfo:
    """Size and stamp of a remote file.

    Raises:
        InputError: there is no such file, or nobody says how long it is.
        StageError: the server does not answer.
    """
    store, patience = _store(url, fetch), _Patience(url, fetch)
    while True:
        try:
            return store.describe()
        except OSError as error:
            patience.failed(error, 0, None)


class ResumingFile(io.RawIOBase):
    """A remote file for reading; one connection at a time, opened anew where it broke or after a jump."""

    def __init__(self, url: str, fetch: FetchConfig) -> None:
        """Describe the file, without reading it yet."""
        self._info = describe_remote(url, fetch)
        self._store = _store(url, fetch)
        self._patience = _Patience(url, fetch)
        self._position = 0
        self._stream: Any = None

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Byte that is read next."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._info.size}[whence]
        if base + offset != self._position:
            self._disconnect()
            self._position = base + offset
        return self._position

    def close(self) -> None:
        """Give the connection up."""
        self._disconnect()
        super().close()

    def _disconnect(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """The next bytes; 0 at the end of the file and nowhere before.

        Raises:
            StageError: they do not come, or the file has changed.
        """
        wanted = min(len(buffer), self._info.size - self._position)
        if wanted <= 0:
            return 0
        while True:
            try:
                if self._stream is None:
                    self._stream = self._store.open_at(self._position, self._info)
                data = self._stream.read(wanted)
                if not data:
                    raise CutError("the connection ended")
            except OSError as error:
                self._disconnect()
                self._patience.failed(error, self._position, self._info.size)
                continue
            buffer[: len(data)] = data
            self._position += len(data)
            self._patience.progress(self._position)
            return len(data)


def open_source(url: str, fetch: FetchConfig) -> IO[bytes]:
    """Open an input for reading, wherever it lies.

    Raises:
        InputError: there is no such file, or it cannot be opened.
        StageError: a server does not answer.
    """
    if not is_http(url):
        try:
            fs, _ = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise InputError(f"cannot read {url}: {error}; give a file that exists and that you may read") from error
        if isinstance(fs, (LocalFileSystem, MemoryFileSystem)):
            return open_input(url)
    return io.BufferedReader(ResumingFile(url, fetch), _READ_AHEAD_BYTES)
