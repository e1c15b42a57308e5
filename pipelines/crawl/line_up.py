"""Which question comes next: each host has a line of its own, and the host that may be asked first is served first."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field, replace

from pipelines.crawl.frontier import Turn
from pipelines.crawl.journal import Item
from pipelines.crawl.pace import Pace
from pipelines.crawl.urls import host_of, origin_of

__all__ = ["LineUp", "Question"]


@dataclass(frozen=True, order=True)
class Question:
    """A URL to ask for: an item's, or robots.txt of an origin (or what that redirects to) where `item` is None."""

    turn: tuple[int, int, int]
    url: str = field(compare=False)
    item: Item | None = field(compare=False, default=None)
    origin: str = field(compare=False, default="")
    hops: int = field(compare=False, default=0)
    tries: int = field(compare=False, default=0)

    @classmethod
    def of(cls, turn: Turn) -> Question:
        """The question for an item of the frontier."""
        return cls(turn=turn[:3], url=turn.item.url, item=turn.item, origin=origin_of(turn.item.url))

    @classmethod
    def for_robots(cls, origin: str, url: str, hops: int = 0) -> Question:
        """The question for a robots.txt, which goes before all others of its host."""
        return cls(turn=(-1, 0, 0), url=url, origin=origin, hops=hops)

    def again(self) -> Question:
        """The same question, tried once more."""
        return replace(self, tries=self.tries + 1)

    @property
    def host(self) -> str:
        """Whom it asks."""
        return host_of(self.url)


class LineUp:
    """Questions by host, each line in the order of the frontier, and a clock that says which host may be asked."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._lines: dict[str, list[Question]] = {}
        self._clock: list[tuple[float, str]] = []
        self._on_clock: set[str] = set()

    def put(self, question: Question) -> None:
        """Line up a question."""
        heapq.heappush(self._lines.setdefault(question.host, []), question)
        self.wake(question.host)

    def wake(self, host: str) -> None:
        """Look again whether a host may be asked: its line or its pace has changed."""
        moment = self._pace.ready_at(host)
        if moment is not None and self._lines.get(host) and host not in self._on_clock:
            self._on_clock.add(host)
            heapq.heappush(self._clock, (moment, host))

    def take(self) -> Question | None:
        """The next question of a host that may be asked now; None where there is none.

        Who takes it either begins a request to the host and ends it, or calls `wake` when it was not needed.
        """
        while self._clock and self._clock[0][0] <= time.monotonic():
            _, host = heapq.heappop(self._clock)
            self._on_clock.discard(host)
            moment = self._pace.ready_at(host)
            if moment is not None and moment > time.monotonic():
                self.wake(host)  # a longer pause was asked for meanwhile
            elif moment is not None and self._lines[host]:
                return heapq.heappop(self._lines[host])
        return None

    def seconds_to_next(self) -> float | None:
        """Until the next host may be asked; None where no line is waiting for its pause to end."""
        return max(0.0, self._clock[0][0] - time.monotonic()) if self._clock else None
