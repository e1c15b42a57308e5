"""One URL asked for: an answer, or the reason why there is none."""

from __future__ import annotations

import contextlib
import datetime
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from pipelines.crawl.addresses import CheckedTransport, PrivateAddressError
from schemas.configs.crawl import CrawlConfig

__all__ = ["Answer", "Failure", "Fetcher", "is_worth_another_try", "media_type", "retry_after_seconds"]

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


def media_type(content_type: str) -> tuple[str, str | None]:
    """`text/html; charset=UTF-8` as ("text/html", "utf-8")."""
    kind, *parameters = content_type.lower().split(";")
    named = dict(parameter.strip().partition("=")[::2] for parameter in parameters)
    return kind.strip(), named.get("charset", "").strip("\"' ") or None


def is_worth_another_try(result: Answer | Failure) -> bool:
    """Whether the same question may have another answer in a moment."""
    return result.error == "connection" if isinstance(result, Failure) else result.status in _TRY_AGAIN


def retry_after_seconds(result: Answer | Failure) -> float:
    """The pause that a server under strain asks for (RFC 9110, section 10.2.3), in seconds or up to a date; else 0."""
    value = result.header("retry-after").strip() if isinstance(result, Answer) and result.status in _TRY_AGAIN else ""
    if value.isdecimal():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # a year or a zone of many digits
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=datetime.UTC)
    return max(0.0, (until - datetime.datetime.now(datetime.UTC)).total_seconds())


class Fetcher:
    """Asks for URLs; threads may ask at once. Redirects are answers like others, and so is every status."""

    def __init__(self, config: CrawlConfig) -> None:
        self._timeout_seconds = config.timeout_seconds
        # Without httpx's client: it would keep cookies, and stumble over redirects that lead to no web page.
        self._transport = CheckedTransport(
            config.connect_to,
            allow_private=config.allow_private_addresses,
            # The body has this time once more, so that what is too slow is told from what is silent.
            total_seconds=2 * config.timeout_seconds,
        )
        self._headers = {
            "User-Agent": config.user_agent,
            "Accept": "text/html,application/xhtml+xml,*/*;q=0.5",
            "Accept-Encoding": "gzip, deflate",
            "Connection": "close",
        }

    def close(self) -> None:
        """Close what is open."""
        self._transport.close()

    def ask(
        self, url: str, max_bytes: int, *, content_types: tuple[str, ...] = (), cut: bool = False
    ) -> Answer | Failure:
        """Ask for a URL, once.

        Args:
            url: a canonical URL.
            max_bytes: of the body, after decompression.
            content_types: where given, a good answer of another content type is refused before its body is read.
            cut: whether a longer body is cut off at `max_bytes` instead of being refused.
        """
        captured_at = datetime.datetime.now(datetime.UTC)
        deadline = time.monotonic() + self._timeout_seconds
        timeout = httpx.Timeout(self._timeout_seconds).as_dict()
        request = httpx.Request("GET", url, headers=self._headers, extensions={"timeout": timeout})
        try:
            with contextlib.closing(self._transport.handle_request(request)) as response:
                kind, _ = media_type(response.headers.get("content-type", ""))
                if response.status_code == httpx.codes.OK and content_types and kind and kind not in content_types:
                    return Failure("content-type", f"is {kind}")
                body = self._body(response, deadline, max_bytes, cut=cut)
                return body if isinstance(body, Failure) else _answer(request, response, body, captured_at)
        except PrivateAddressError as error:
            return Failure("private-address", str(error))
        except httpx.RequestError as error:
            return Failure("connection", str(error) or type(error).__name__)

    def _body(self, response: httpx.Response, deadline: float, limit: int, *, cut: bool) -> bytes | Failure:
        stated = response.headers.get("content-length", "")
        if stated.isdecimal() and int(stated) > limit and not cut:
            return Failure("too-large", f"states {stated} bytes, the limit is {limit}")
        pieces = []
        size = 0
        for piece in response.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                if cut:
                    break
                return Failure("too-large", f"has more than {limit} bytes")
            if time.monotonic() > deadline:
                return Failure("too-slow", f"took more than {self._timeout_seconds} s")
        return b"".join(pieces)[:limit]


def _answer(request: httpx.Request, response: httpx.Response, body: bytes, captured_at: datetime.datetime) -> Answer:
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
    )


def _as_sent(headers: httpx.Headers) -> tuple[tuple[str, str], ...]:
    return tuple((_text(name), _text(value)) for name, value in headers.raw)


def _text(header: bytes) -> str:
    # Servers state paths and titles in UTF-8 more often than in the Latin-1 of RFC 2616.
    try:
        return header.decode("utf-8")
    except UnicodeDecodeError:
        return header.decode("latin-1")
