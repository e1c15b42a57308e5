"""A line now and then that says how far a crawl has come."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

__all__ = ["Progress", "ProgressLine"]

# Called after each URL with the pages stored, the limit, and the URL.
Progress = Callable[[int, int, str], None]

_EVERY_SECONDS = 5.0


class ProgressLine:
    """Writes lines like `crawl pydoc/3.11.7  120/300 pages  4.1 MB` to standard error, every five seconds."""

    def __init__(self, label: str, counts: Mapping[str, int]) -> None:
        self._label = label
        self._counts = counts
        self._last = time.monotonic()

    def __call__(self, done: int, limit: int, url: str) -> None:
        """`done` of `limit` pages are stored; `url` was the last one asked for."""
        now = time.monotonic()
        if now - self._last >= _EVERY_SECONDS or done == limit:
            self._last = now
            sys.stderr.write(f"{self._label}  {done}/{limit} pages  {self._counts['bytes'] / 1e6:.1f} MB\n")
            sys.stderr.flush()
