"""When each host may be asked next: a pause between requests, and only so many of them at once."""

from __future__ import annotations

import time
from collections import Counter

__all__ = ["Pace"]


class Pace:
    """Keeps the clock of each host. It never waits itself: other hosts can be asked meanwhile."""

    def __init__(self, delay_seconds: float, host_connections: int = 1, *, asked_before: bool = False) -> None:
        """Take the settings.

        Args:
            delay_seconds: between the end of a request and the start of the next one; where a host has several
                connections, between two starts.
            host_connections: requests under way to one host at once.
            asked_before: after a restart, each host counts as asked a moment ago.
        """
        self._delay_seconds = delay_seconds
        self._host_connections = host_connections
        self._first = time.monotonic() + delay_seconds if asked_before else 0.0
        self._next: dict[str, float] = {}
        self._slower: dict[str, float] = {}
        self._under_way: Counter[str] = Counter()

    def slow_down(self, host: str, seconds: float) -> None:
        """Mind the `Crawl-delay` of a host where it states one: one connection, and the longer delay of the two."""
        if seconds > 0:
            self._slower[host] = seconds

    def ready_at(self, host: str) -> float | None:
        """The moment (`time.monotonic`) from which the host may be asked; None while it is being asked enough."""
        if self._under_way[host] >= self._connections(host):
            return None
        return self._next.get(host, self._first)

    def begin(self, host: str) -> None:
        """A request starts."""
        self._under_way[host] += 1
        self._next[host] = time.monotonic() + self._delay(host)

    def end(self, host: str, pause_seconds: float = 0.0) -> None:
        """A request has ended, well or not; `pause_seconds` is a longer pause for this once."""
        self._under_way[host] -= 1
        pause = max(pause_seconds, self._delay(host) if self._connections(host) == 1 else 0.0)
        self._next[host] = max(self._next[host], time.monotonic() + pause)

    def _connections(self, host: str) -> int:
        return 1 if host in self._slower else self._host_connections

    def _delay(self, host: str) -> float:
        return max(self._delay_seconds, self._slower.get(host, 0.0))
