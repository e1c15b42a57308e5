"""Prefect's REST API, as much of it as looking at a server needs; Prefect itself takes two seconds to load."""

from __future__ import annotations

import time
import uuid
from typing import Any

import httpx

from schemas.errors import StageError

__all__ = ["PrefectRest", "ServerUnreachableError"]

_SECONDS = 20.0
_LARGEST_PAGE = 200
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.25, 8.0


class ServerUnreachableError(StageError):
    """The server does not answer, or refuses; the message says where and how."""


class PrefectRest:
    """A client of one server."""

    def __init__(self, api: str, auth: str | None = None, seconds: float = _SECONDS) -> None:
        user, _, password = (auth or "").partition(":")
        self.api = api
        self._client = httpx.Client(
            base_url=api,
            auth=(user, password) if auth else None,
            timeout=seconds,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),  # nothing to close, and nothing to find closed
        )
        self._csrf: dict[str, str] | None = None

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                answer = self._client.request(method, path, **options)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise ServerUnreachableError(f"{self.api} does not answer: {error or type(error).__name__}") from error
            # The server says so of a database that is locked for a moment; nothing has been changed then.
            if answer.status_code != 503 or pause > _LAST_PAUSE_SECONDS:
                return answer
            time.sleep(pause)
            pause *= 2

    def _headers(self) -> dict[str, str]:
        if self._csrf is None:
            client = str(uuid.uuid4())
            answer = self._send("GET", "/csrf-token", params={"client": client})
            token = answer.json()["token"] if answer.status_code == 200 else ""
            self._csrf = {"Prefect-Csrf-Client": client, "Prefect-Csrf-Token": token} if token else {}
        return self._csrf

    def _checked(self, answer: httpx.Response) -> Any:
        if answer.status_code == 401:
            raise ServerUnreachableError(f"{self.api} refuses the password (401)")
        if answer.is_error:
            raise ServerUnreachableError(f"{self.api} answers {answer.status_code}: {answer.text[:200]}")
        return answer.json() if answer.content else None

    def get(self, path: str) -> Any:
        """The JSON at a path.

        Raises:
            ServerUnreachableError: the server does not answer, or refuses.
        """
        return self._checked(self._send("GET", path))

    def post(self, path: str, content: dict[str, Any] | list[dict[str, Any]] | None = None) -> Any:
        """The JSON that the server answers to a question or a change.

        Raises:
            ServerUnreachableError: the server does not answer, or refuses.
        """
        return self._checked(self._send("POST", path, json=content or {}, headers=self._headers()))

    def all_of(self, path: str, **conditions: Any) -> list[dict[str, Any]]:
        """All rows that a `filter` path gives, page after page.

        Raises:
            ServerUnreachableError: the server does not answer, or refuses.
        """
        found: list[dict[str, Any]] = []
        while True:
            page = self.post(path, {**conditions, "limit": _LARGEST_PAGE, "offset": len(found)})
            found += page
            if len(page) < _LARGEST_PAGE:
                return found

    def healthy(self) -> bool:
        """Whether the server answers at all; it says so to everybody."""
        try:
            return self._send("GET", "/health").status_code == 200
        except ServerUnreachableError:
            return False
