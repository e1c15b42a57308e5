"""A connection has one deadline for everything: a server that sends a byte now and then gains no time by it.

Timeouts of sockets are for one wait each. Here each wait gets what is left of the connection's own time.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

__all__ = ["DeadlineBackend"]


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner, self._deadline = inner, deadline

    def _left(self, timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise error("timed out")
        shortest = min(left, math.inf if timeout is None else timeout)
        return None if shortest == math.inf else shortest

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._left(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class DeadlineBackend(httpcore.NetworkBackend):
    """Ordinary TCP connections that end `total_seconds` after they were asked for; never where it is None."""

    def __init__(self, total_seconds: float | None = None) -> None:
        self._inner = httpcore.SyncBackend()
        self._total_seconds = math.inf if total_seconds is None else total_seconds

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect; the time that this takes counts.

        Raises:
            httpcore.ConnectTimeout: it took longer than `timeout`.
            httpcore.ConnectError: nobody answers there.
        """
        deadline = time.monotonic() + self._total_seconds
        shortest = min(self._total_seconds, math.inf if timeout is None else timeout)
        timeout = None if shortest == math.inf else shortest
        return _DeadlineStream(self._inner.connect_tcp(host, port, timeout, local_address, socket_options), deadline)
