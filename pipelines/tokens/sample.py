"""A sample of documents that depends on nothing but which documents there are.

Each text is drawn a number from its content hash and a seed; the sample is the texts of the lowest numbers, until
their bytes reach a budget. So partitions, files, order and copies of a text make no difference; the pieces of a
document that was cut have its number and are texts of their own. With weights the
numbers are exponential with the weight as rate (Efraimidis and Spirakis 2006, "Weighted random sampling with a
reservoir"), so that a text of weight 2 comes twice as early; where a text has copies, its highest weight counts.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import NamedTuple

from schemas.identity import stable_fraction

__all__ = ["Sample", "SampledText"]


_Name = tuple[bytes, str]  # content hash of the document, and the text itself, which may be a piece of it


class SampledText(NamedTuple):
    """One text of the sample; of copies that of the highest weight, and of those the first source by name."""

    draw: float
    content_hash: bytes
    source: str
    language: str
    text: str


class Sample:
    """Takes texts in any order and keeps the sample of those seen so far; memory is bounded by the budget."""

    def __init__(self, budget_bytes: int, seed: int) -> None:
        self._budget = budget_bytes
        self._seed = seed
        self._highest: list[tuple[float, _Name]] = []  # negated draws: the first entry is the next one to go
        self._kept: dict[_Name, tuple[SampledText, int]] = {}
        self._bytes = 0

    def add(self, content: bytes, source: str, text: str, language: str = "", weight: float = 1.0) -> None:
        """Offer a text; one of weight 0 is not taken."""
        if weight <= 0:
            return
        draw = -math.log1p(-stable_fraction(content, self._seed, "tokenizer sample")) / weight
        name = content, text
        known = self._kept.get(name)
        if known is not None:
            old, size = known
            if (draw, source, language) < (old.draw, old.source, old.language):
                self._kept[name] = old._replace(draw=draw, source=source, language=language), size
                heapq.heappush(self._highest, (-draw, name))
            return
        if self._bytes >= self._budget and draw > -self._next_to_go()[0]:
            return
        size = len(text.encode("utf-8"))
        self._kept[name] = SampledText(draw, content, source, language, text), size
        heapq.heappush(self._highest, (-draw, name))
        self._bytes += size
        self._drop()

    def _next_to_go(self) -> tuple[float, _Name]:
        """The entry of the highest draw; entries of texts that went, or were drawn anew, are let go of."""
        while True:
            negated, name = self._highest[0]
            known = self._kept.get(name)
            if known is not None and known[0].draw == -negated:
                return self._highest[0]
            heapq.heappop(self._highest)

    def _drop(self) -> None:
        """Let go of the highest draws as long as those below them reach the budget alone."""
        while len(self._kept) > 1:
            highest = self._next_to_go()[1]
            size = self._kept[highest][1]
            if self._bytes - size < self._budget:
                return
            heapq.heappop(self._highest)
            del self._kept[highest]
            self._bytes -= size

    @property
    def utf8_bytes(self) -> int:
        """Bytes of the texts kept."""
        return self._bytes

    def texts(self) -> Iterator[SampledText]:
        """The sample, ordered by draw."""
        yield from sorted(entry[0] for entry in self._kept.values())
