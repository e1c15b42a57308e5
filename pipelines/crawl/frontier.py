"""The URLs still to be asked for, by depth and then in order of discovery."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from pipelines.crawl.journal import Item

__all__ = ["Frontier"]


class Frontier:
    """A queue that takes each URL once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._heap: list[tuple[int, int, Item]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def is_new(self, url: str) -> bool:
        """Whether a URL was never added."""
        return url not in self._seen

    def add(self, items: Iterable[Item]) -> None:
        """Put items in the queue, save those whose URL was added before."""
        for item in items:
            if item.url not in self._seen:
                self._seen.add(item.url)
                heapq.heappush(self._heap, (item.depth, len(self._seen), item))

    def first(self) -> Item | None:
        """The item whose turn it is; None when the queue is empty."""
        return self._heap[0][2] if self._heap else None

    def pop(self) -> Item:
        """Take out the item whose turn it is."""
        return heapq.heappop(self._heap)[2]
