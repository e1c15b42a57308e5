"""Passages of documents, drawn by content alone.

A long text is many passages, each drawn a number from its document's content hash, its place in the text and a seed;
the sample of a source is the passages of the lowest numbers. So partitions, files, their order and copies of a text
make no difference, and memory is bounded by the size of the sample.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterator
from typing import NamedTuple

from pipelines.dedup.shingles import pieces
from schemas.identity import stable_fraction

__all__ = ["Passage", "PassageSample", "is_held_out", "passages_of"]


class Passage(NamedTuple):
    """A part of a document; `document` is the hash of the whole text, `number` counts from 0."""

    document: bytes
    number: int
    text: str


def passages_of(document: bytes, text: str, characters: int) -> Iterator[Passage]:
    """The passages of a text: pieces of `characters` or a little more; the last is left out if it is below half of it.

    A text that is shorter is one passage.
    """
    for number, piece in enumerate(pieces(text, characters)):
        if number == 0 or 2 * len(piece) >= characters:
            yield Passage(document, number, piece)


def is_held_out(document: bytes, seed: int, share: float) -> bool:
    """Whether a document is for measuring: all of its passages, and all copies of its text, are then."""
    return stable_fraction(document, seed, "classifier held out") < share


class PassageSample:
    """Takes passages in any order and keeps the `size` of the lowest draws."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._seed = seed
        self._kept: dict[tuple[bytes, int], Passage] = {}
        self._highest: list[tuple[float, tuple[bytes, int]]] = []  # negated draws: the first is the next to go

    def add(self, passage: Passage) -> None:
        """Offer a passage."""
        key = (passage.document, passage.number)
        if key in self._kept:
            return
        place = passage.document + struct.pack(">Q", passage.number)
        draw = stable_fraction(place, self._seed, "classifier passage")
        if len(self._kept) < self._size:
            heapq.heappush(self._highest, (-draw, key))
        elif draw < -self._highest[0][0]:
            _, gone = heapq.heapreplace(self._highest, (-draw, key))
            del self._kept[gone]
        else:
            return
        self._kept[key] = passage

    def passages(self) -> list[Passage]:
        """The sample, ordered by document and number."""
        return [self._kept[key] for key in sorted(self._kept)]
