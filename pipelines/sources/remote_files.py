"""Remote files read whole or not at all: tried again with growing waits, resumed where a connection was cut.

Every byte handed out is the next one of the file: a range is asked for, the answer's `Content-Range` is checked, and a
server that ignores ranges has its answer read up to the place again. What does not come after all attempts fails the
partition; a file never just ends early.
"""

from __future__ import annotations

import hashlib
import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from schemas.configs.sources import FetchConfig
from schemas.errors import InputError, StageError
from schemas.storage import open_input

__all__ = ["RemoteInfo", "ResumingFile", "describe_remote", "is_http", "open_source"]

_READ_AHEAD_BYTES = 2**20
# Failures are in a row until so much has come between two; a server that cuts after every few bytes is as good as dead.
_PROGRESS_BYTES = 2**14
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_PASSING_STATUS = frozenset({408, 425, 429})  # of those from 400 to 499

T = TypeVar("T")


class _CutError(OSError):
    """A connection gave other bytes than were asked for, or fewer."""


@dataclass(frozen=True)
class RemoteInfo:
    """A remote file.

    Attributes:
        url: as it was given.
        size: bytes.
        stamp: ETag, else the time of the last change; empty where the store states none.
    """

    url: str
    size: int
    stamp: str


def is_http(url: str) -> bool:
    """Whether this is the URL of a web server."""
    return url.startswith(("http://", "https://"))


def _filesystem(url: str, fetch: FetchConfig) -> tuple[Any, str]:
    if not is_http(url):
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    from aiohttp import ClientTimeout

    # No limit for a whole file, which may take an hour, but one for silence. What a server calls encoded is what the
    # file holds: `page.warc.gz` must not be unpacked on the way.
    timeout = ClientTimeout(total=None, sock_connect=fetch.timeout_seconds, sock_read=fetch.timeout_seconds)
    options = {"timeout": timeout, "auto_decompress": False}
    return fsspec.core.url_to_fs(url, client_kwargs=options)  # type: ignore[no-any-return]


def _troubles() -> tuple[type[Exception], ...]:
    from aiohttp import ClientError

    return (OSError, ClientError)


def _cause(error: BaseException) -> BaseException:
    # fsspec says "not found" of whatever keeps it from describing a file.
    return error.__cause__ or error if isinstance(error, FileNotFoundError) else error


def _refusal(url: str, error: BaseException) -> InputError | None:
    """The error where asking again would give the same answer."""
    from aiohttp import ClientResponseError

    cause = _cause(error)
    status = cause.status if isinstance(cause, ClientResponseError) else 0
    if isinstance(cause, FileNotFoundError) or status in {404, 410}:
        why = "there is no such file"
    elif 400 <= status < 500 and status not in _PASSING_STATUS:
        why = f"the server answers {status}"
    elif isinstance(cause, PermissionError):
        why = f"{cause}"
    else:
        return None
    return InputError(f"cannot read {url}: {why}; give a URL that exists and that you may read")


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


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

    def failed(self, error: BaseException, position: int, size: int | None) -> None:
        """Wait before the next attempt.

        Raises:
            InputError: the file is not there, or not for us.
            StageError: that was the last attempt.
        """
        refusal = _refusal(self._url, error)
        if refusal:
            raise refusal from error
        self._failures += 1
        self._failed_at = position
        if self._failures >= self._fetch.attempts:
            where = f"at byte {position} of {size}" if size is not None else "before its size was known"
            raise StageError(
                f"cannot read {self._url}: {self._failures} attempts in a row failed, the last {where} "
                f"({_one_line(_cause(error))}); nothing was committed, run the same command again when the server "
                "answers, or give it more attempts (fetch.attempts)"
            ) from error
        time.sleep(self._wait(error))

    def _wait(self, error: BaseException) -> float:
        doubled = self._fetch.first_wait_seconds * 2.0 ** (self._failures - 1)
        asked = (getattr(_cause(error), "headers", None) or {}).get("Retry-After", "")
        # Between half and all of it, by the file: workers that failed together do not come back together.
        digest = hashlib.blake2b(f"{self._url} {self._failures}".encode(), digest_size=2).digest()
        spread = doubled * (0.5 + int.from_bytes(digest, "big") / 2**17)
        return min(max(spread, float(asked) if asked.isdigit() else 0.0), self._fetch.longest_wait_seconds)


def _insist(url: str, fetch: FetchConfig, ask: Callable[[], T]) -> T:
    patience = _Patience(url, fetch)
    while True:
        try:
            return ask()
        except _troubles() as error:
            patience.failed(error, 0, None)


def describe_remote(url: str, fetch: FetchConfig) -> RemoteInfo:
    """Size and stamp of a remote file.

    Raises:
        InputError: there is no such file, or nobody says how long it is.
        StageError: the server does not answer.
    """
    fs, path = _filesystem(url, fetch)
    info = _insist(url, fetch, lambda: fs.info(path))
    if info.get("size") is None:
        raise InputError(
            f"{url} does not say how long it is, so nobody could see that it came whole; download it and give the file"
        )
    stamps = ("ETag", "etag", "mtime", "LastModified", "Last-Modified", "created")
    changed = next((info[key] for key in stamps if info.get(key)), "")
    return RemoteInfo(url, int(info["size"]), str(changed))


class ResumingFile(io.RawIOBase):
    """A remote file for reading; one connection at a time, opened anew where it broke or after a jump."""

    def __init__(self, url: str, fetch: FetchConfig) -> None:
        """Describe the file, without reading it yet."""
        self._info = describe_remote(url, fetch)
        self._fs, self._path = _filesystem(url, fetch)
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

    def _connect(self) -> Any:
        """A stream that stands at the position."""
        if not is_http(self._info.url):
            stream = self._fs.open(self._path, "rb")
            stream.seek(self._position)
            return stream
        headers = {"Accept-Encoding": "identity"}
        if self._position:
            headers["Range"] = f"bytes={self._position}-"
        # Without blocks, a plain stream: in blocks, a file of 1 GB is 200 requests.
        stream = self._fs.open(self._path, block_size=0, size=self._info.size, headers=headers)
        try:
            self._check(stream)
        except BaseException:
            stream.close()
            raise
        return stream

    def _check(self, stream: Any) -> None:
        """See that the answer is about the same file, and bring the stream to the position.

        Raises:
            StageError: the file has changed since it was described.
        """
        response = stream.r
        stamp = response.headers.get("ETag")
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        total = found[2] if found else response.headers.get("Content-Length", "*")
        changed = stamp and self._info.stamp.startswith(('"', "W/")) and stamp != self._info.stamp
        if changed or (total.isdigit() and int(total) != self._info.size):
            raise StageError(
                f"{self._info.url} has changed while it was read (it had {self._info.size} bytes and stamp "
                f"{self._info.stamp or 'none'}, now {total} and {stamp or 'none'}); run the same command again"
            )
        if response.status == 206:
            if not found or int(found[1]) != self._position:
                raise _CutError(f"asked for bytes from {self._position} on, got {response.headers.get('Content-Range')}")
            return
        left = self._position
        while left:  # the server ignores ranges
            passed = stream.read(min(left, _READ_AHEAD_BYTES))
            if not passed:
                raise _CutError(f"the connection ended {left} bytes before byte {self._position}")
            left -= len(passed)

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
                    self._stream = self._connect()
                data = self._stream.read(wanted)
                if not data:
                    raise _CutError("the connection ended")
            except _troubles() as error:
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
    try:
        fs, _ = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise InputError(f"cannot read {url}: {error}; give a file that exists and that you may read") from error
    if isinstance(fs, (LocalFileSystem, MemoryFileSystem)):
        return open_input(url)
    return io.BufferedReader(ResumingFile(url, fetch), _READ_AHEAD_BYTES)
