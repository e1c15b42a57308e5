"""One URL asked for: an answer, or the reason why there is none."""

from __future__ import annotations

import contextlib
import datetime
import time
from dataclasses import dataclass

import httpx

from pipelines.crawl.addresses import CheckedTransport, PrivateAddressError
from pipelines.crawl.pace import Pace
from pipelines.crawl.urls import host_of
from schemas.configs.crawl import CrawlConfig

__all__ = ["Answer", "Failure", "Fetcher", "media_type"]

_TRY_AGAIN = frozenset({429, 500, 502, 503, 504})
_DECODED = frozenset({"gzip", "deflate"})


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer; `body` is without transfer coding and, where `decoded`, without compression."""

    url: str
    status: int
    reason: str
    request_headers: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    body: bytes
    decoded: bool
    server_address: str
    captured_at: datetime.datetime
    retries: int

    @property
    def is_redirect(self) -> bool:
        """Whether it sends on to another URL."""
        return 300 <= self.status < 400 and bool(self.header("location"))

    def header(self, name: str) -> str:
        """The first header of a name (in lower case); empty where there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(frozen=True)
class Failure:
    """Why there is no answer: a short stable name and what happened."""

    error: str
    message: str
    retries: int = 0


def media_type(content_type: str) -> tuple[str, str | None]:
    """`text/html; charset=UTF-8` as ("text/html", "utf-8")."""
    kind, *parameters = content_type.lower().split(";")
    named = dict(parameter.strip().partition("=")[::2] for parameter in parameters)
    return kind.strip(), named.get("charset", "").strip("\"' ") or None


class Fetcher:
    """Asks for URLs, politely; redirects are answers like others."""

    def __init__(self, config: CrawlConfig, pace: Pace) -> None:
        self._config = config
        self._pace = pace
        # Without httpx's client: it would keep cookies, and stumble over redirects that lead to no web page.
        self._transport = CheckedTransport(config.connect_to, allow_private=config.allow_private_addresses)
        self._headers = {
            "User-Agent": config.user_agent,
            "Accept": "text/html,application/xhtml+xml,*/*;q=0.5",
            "Accept-Encoding": "gzip, deflate",
            "Connection": "close",
        }

    def close(self) -> None:
        """Close what is open."""
        self._transport.close()

    def get(self, url: str, content_types: tuple[str, ...] = ()) -> Answer | Failure:
        """Ask for a URL, again after a pause where that may help; a good answer of another content type is refused."""
        host = host_of(url)
        result: Answer | Failure
        for retries in range(self._config.retries + 1):
            self._pace.wait(host)
            result = self._try(url, content_types, retries)
            again = result.error == "connection" if isinstance(result, Failure) else result.status in _TRY_AGAIN
            pause = self._config.retry_seconds * 2**retries if again else 0.0
            self._pace.asked(host, max(pause, _retry_after(result)))
            if not again:
                break
        return result

    def _try(self, url: str, content_types: tuple[str, ...], retries: int) -> Answer | Failure:
        captured_at = datetime.datetime.now(datetime.UTC)
        seconds = self._config.timeout_seconds
        deadline = time.monotonic() + seconds
        timeout = httpx.Timeout(seconds).as_dict()
        request = httpx.Request("GET", url, headers=self._headers, extensions={"timeout": timeout})
        try:
            with contextlib.closing(self._transport.handle_request(request)) as response:
                kind, _ = media_type(response.headers.get("content-type", ""))
                if response.status_code == httpx.codes.OK and content_types and kind and kind not in content_types:
                    return Failure("content-type", f"is {kind}", retries)
                body = self._body(response, deadline, retries)
                if isinstance(body, Failure):
                    return body
                return _answer(request, response, body, captured_at, retries)
        except PrivateAddressError as error:
            return Failure("private-address", str(error), retries)
        except httpx.RequestError as error:
            return Failure("connection", str(error) or type(error).__name__, retries)

    def _body(self, response: httpx.Response, deadline: float, retries: int) -> bytes | Failure:
        limit = self._config.max_bytes
        stated = response.headers.get("content-length", "")
        if stated.isdecimal() and int(stated) > limit:
            return Failure("too-large", f"states {stated} bytes, the limit is {limit}", retries)
        pieces = []
        size = 0
        for piece in response.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                return Failure("too-large", f"has more than {limit} bytes", retries)
            if time.monotonic() > deadline:
                return Failure("too-slow", f"took more than {self._config.timeout_seconds} s", retries)
        return b"".join(pieces)


def _answer(
    request: httpx.Request, response: httpx.Response, body: bytes, captured_at: datetime.datetime, retries: int
) -> Answer:
    codings = {part.strip().lower() for part in response.headers.get("content-encoding", "").split(",") if part.strip()}
    return Answer(
        url=str(request.url),
        status=response.status_code,
        reason=response.reason_phrase,
        request_headers=_as_sent(request.headers),
        headers=_as_sent(response.headers),
        body=body,
        decoded=bool(codings) and codings <= _DECODED,
        server_address=str(response.extensions["server_address"]),
        captured_at=captured_at,
        retries=retries,
    )


def _as_sent(headers: httpx.Headers) -> tuple[tuple[str, str], ...]:
    return tuple((_text(name), _text(value)) for name, value in headers.raw)


def _text(header: bytes) -> str:
    # Servers state paths and titles in UTF-8 more often than in the Latin-1 of RFC 2616.
    try:
        return header.decode("utf-8")
    except UnicodeDecodeError:
        return header.decode("latin-1")


def _retry_after(result: Answer | Failure) -> float:
    value = result.header("retry-after") if isinstance(result, Answer) and result.status in _TRY_AGAIN else ""
    return float(value) if value.isdecimal() else 0.0
