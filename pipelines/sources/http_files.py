"""Files on web servers: what they are, and their bytes from a place on.

Not by fsspec's HTTP file system, which throws away what it has received when a connection breaks (of 400,000 bytes
behind which a server cut, it handed out 8,192), describes a busy server's file as missing, and unpacks what a server
calls encoded.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from schemas.configs.sources import FetchConfig
from schemas.errors import InputError, StageError

if TYPE_CHECKING:  # the library is imported for the first file on a web server: it takes 0.1 s
    import httpx

__all__ = ["CutError", "HttpStore", "RemoteInfo"]

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_PASSING_STATUS = frozenset({408, 425, 429})  # of those from 400 to 499
_READ_BYTES = 2**20
# What a server calls encoded is what the file holds: `page.warc.gz` must not be unpacked on the way.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "corpusmill"}


class CutError(OSError):
    """A server refused for now, or gave other bytes than were asked for, or fewer.

    Attributes:
        wait_seconds: how long it asks to be left alone.
    """

    def __init__(self, message: str, wait_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


@dataclass(frozen=True)
class RemoteInfo:
    """A remote file.

    Attributes:
        size: bytes.
        stamp: ETag, else the time of the last change; empty where the server states none.
    """

    size: int
    stamp: str


class _Body:
    """The body of an answer, as it is sent."""

    def __init__(self, client: httpx.Client, response: httpx.Response) -> None:
        self._client = client
        self._response = response
        self._chunks: Iterator[bytes] = response.iter_raw()
        self._held = b""

    def read(self, most: int) -> bytes:
        """The next bytes, at most so many; none at the end."""
        import httpx

        try:
            self._held = self._held or next(self._chunks, b"")
        except httpx.TransportError as error:
            raise CutError(_said(error)) from error
        data, self._held = self._held[:most], self._held[most:]
        return data

    def close(self) -> None:
        """Give the connection up."""
        self._response.close()
        self._client.close()


@cache
def _certificates() -> ssl.SSLContext:
    import httpx

    # Reading the certificates takes longer than most requests.
    return httpx.create_ssl_context()


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _stamp(response: httpx.Response) -> str:
    return str(response.headers.get("ETag") or response.headers.get("Last-Modified") or "")


def _total(response: httpx.Response) -> int | None:
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    stated = found[2] if found else response.headers.get("Content-Length", "")
    return int(stated) if stated.isdigit() else None


class HttpStore:
    """One file on a web server."""

    def __init__(self, url: str, fetch: FetchConfig) -> None:
        """Nothing is asked yet."""
        self._url = url
        self._fetch = fetch

    def _ask(self, method: str, headers: dict[str, str]) -> _Body:
        """The answer, its body unread.

        Raises:
            InputError: it will be the same whenever it is asked for.
            CutError: it may be another one later.
        """
        import httpx

        client = httpx.Client(
            timeout=self._fetch.timeout_seconds, follow_redirects=True, headers=_HEADERS, verify=_certificates()
        )
        try:
            response = client.send(client.build_request(method, self._url, headers=headers), stream=True)
        except (httpx.TransportError, httpx.TooManyRedirects) as error:
            client.close()
            raise CutError(_said(error)) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            client.close()
            raise InputError(f"cannot read {self._url}: {error}; give a URL that exists") from error
        body = _Body(client, response)
        status = response.status_code
        if status in {200, 206}:
            return body
        body.close()
        if 400 <= status < 500 and status not in _PASSING_STATUS:
            raise InputError(
                f"cannot read {self._url}: the server answers {status}; give a URL that exists and that you may read"
            )
        asked = response.headers.get("Retry-After", "")
        raise CutError(f"the server answers {status}", float(asked) if asked.isdigit() else 0.0)

    def describe(self) -> RemoteInfo:
        """Size and stamp.

        Raises:
            InputError: there is no such file, or nobody says how long it is.
            CutError: it may be another one later.
        """
        try:
            body = self._ask("HEAD", {})
        except InputError:  # some servers know GET alone
            body = self._ask("GET", {"Range": "bytes=0-0"})
        response = body._response
        body.close()
        size = _total(response)
        if size is None:
            raise InputError(
                f"{self._url} does not say how long it is, so nobody could see that it came whole; download it and "
                "give the file"
            )
        return RemoteInfo(size, _stamp(response))

    def open_at(self, position: int, info: RemoteInfo) -> _Body:
        """The bytes from `position` on.

        Raises:
            StageError: the file is no longer the one described.
            InputError: there is no such file.
            CutError: it did not work this time.
        """
        body = self._ask("GET", {"Range": f"bytes={position}-"} if position else {})
        try:
            self._bring_to(body, position, info)
        except BaseException:
            body.close()
            raise
        return body

    def _bring_to(self, body: _Body, position: int, info: RemoteInfo) -> None:
        response = body._response
        size, stamp = _total(response), _stamp(response)
        if (stamp and info.stamp and stamp != info.stamp) or (size is not None and size != info.size):
            raise StageError(
                f"{self._url} has changed while it was read (it had {info.size} bytes and stamp "
                f"{info.stamp or 'none'}, now {size} and {stamp or 'none'}); run the same command again"
            )
        if response.status_code == 206:
            found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
            if not found or found[1] != str(position):
                stated = response.headers.get("Content-Range")
                raise CutError(f"asked for bytes from {position} on, got {stated}")
            return
        left = position
        while left:  # the server ignores ranges: its answer begins at the beginning
            passed = body.read(min(left, _READ_BYTES))
            if not passed:
                raise CutError(f"the connection ended {left} bytes before byte {position}")
            left -= len(passed)
