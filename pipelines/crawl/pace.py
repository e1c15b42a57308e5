"""One request at a time to a host, and a pause after each."""

from __future__ import annotations

import time

__all__ = ["LONGEST_PAUSE_SECONDS", "Pace"]

# A Crawl-delay or Retry-After beyond this would hold up all other hosts; it is cut to this.
LONGEST_PAUSE_SECONDS = 60.0


class Pace:
    """Knows for each host when it may be asked next."""

    def __init__(self, delay_seconds: float, *, asked_before: bool = False) -> None:
        self.delay_seconds = delay_seconds
        # After a restart, each host counts as asked a moment ago.
        self._first = time.monotonic() + delay_seconds if asked_before else 0.0
        self._next: dict[str, float] = {}
        self._slower: dict[str, float] = {}

    def slow_down(self, host: str, seconds: float) -> None:
        """Mind the `Crawl-delay` of a host, where it is longer than the delay set."""
        self._slower[host] = min(seconds, LONGEST_PAUSE_SECONDS)

    def wait(self, host: str) -> None:
        """Sleep until the host may be asked."""
        time.sleep(max(0.0, self._next.get(host, self._first) - time.monotonic()))

    def asked(self, host: str, pause_seconds: float = 0.0) -> None:
        """The host has just answered, or failed to; `pause_seconds` is a longer pause for this once."""
        pause = max(self.delay_seconds, self._slower.get(host, 0.0), min(pause_seconds, LONGEST_PAUSE_SECONDS))
        self._next[host] = time.monotonic() + pause
