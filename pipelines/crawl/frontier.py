"""The URLs still to be asked for: by depth, then in turn from each host, each host in order of discovery.

Answers come in any order, but they are taken into account in this one, so that a crawl does not depend on which server
was quick. Asking ahead is safe for a URL whose turn is sure to come before the budget of pages ends: no more than so
many URLs can come before it.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipelines.crawl.journal import Item
from pipelines.crawl.urls import host_of

__all__ = ["Frontier", "Turn"]


class Turn(NamedTuple):
    """The place of an item in the order; `rank` counts the items of its host at its depth."""

    depth: int
    rank: int
    number: int  # in order of discovery
    item: Item


class Frontier:
    """A queue that takes each URL once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._turns: list[Turn] = []
        self._not_admitted: list[Turn] = []
        self._ranks: Counter[tuple[str, int]] = Counter()
        self._at_depth: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._turns)

    def is_new(self, url: str) -> bool:
        """Whether a URL was never added."""
        return url not in self._seen

    def add(self, items: Iterable[Item]) -> None:
        """Put items in the queue, save those whose URL was added before."""
        for item in items:
            if item.url not in self._seen:
                self._seen.add(item.url)
                place = (host_of(item.url), item.depth)
                turn = Turn(item.depth, self._ranks[place], len(self._seen), item)
                self._ranks[place] += 1
                self._at_depth[item.depth] += 1
                heapq.heappush(self._turns, turn)
                heapq.heappush(self._not_admitted, turn)

    def first(self) -> Item | None:
        """The item whose turn it is; None when the queue is empty."""
        return self._turns[0].item if self._turns else None

    def pop(self) -> Item:
        """Take out the item whose turn it is; where it was not admitted, nobody needs to ask for it any more."""
        turn = heapq.heappop(self._turns)
        if self._not_admitted and self._not_admitted[0] == turn:
            heapq.heappop(self._not_admitted)
        self._at_depth[turn.depth] -= 1
        return turn.item

    def admit(self, budget: int, hosts: int, redirects: int) -> Iterator[Turn]:
        """Items that may be asked for from now on, each given once, in order.

        Args:
            budget: pages that may still be stored, at least 1.
            hosts: in the crawl.
            redirects: in a row at most; a seed may bring in a host with each.
        """
        while self._not_admitted and self._is_certain(self._not_admitted[0], budget, hosts, redirects):
            yield heapq.heappop(self._not_admitted)

    def _is_certain(self, turn: Turn, budget: int, hosts: int, redirects: int) -> bool:
        """Whether fewer than `budget` pages come before this one's turn.

        A page takes one of the budget; a redirect takes none and puts one item in its place; sitemaps take none. What
        pages of this depth will find goes one deeper, where no host has more items before rank r than r.
        """
        first = self._turns[0]
        here = self._at_depth[first.depth]
        if turn == first:
            return True
        if turn.depth == first.depth:
            return min(here, (turn.rank - first.rank + 1) * hosts) <= budget
        hosts += here * (redirects + 1) if first.depth == 0 else 0
        return turn.depth == first.depth + 1 and here + (turn.rank + 1) * hosts <= budget
