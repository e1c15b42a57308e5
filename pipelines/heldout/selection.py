"""Choosing a bounded number of cuts by their content alone.

A cut's rank is a draw from its own content; a selection keeps the lowest ranks. So the same cuts are chosen whatever
the order, the number of files or of documents that were offered and not chosen, and memory is bounded by the size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from pipelines.heldout.passages import Cut
from schemas.identity import HASH_BYTES, length_prefixed, stable_fraction

__all__ = ["Piece", "Selection", "choose"]


@dataclass(frozen=True)
class Piece:
    """A cut and the document that it came from."""

    cut: Cut
    group: str  # content hash of the document, in hexadecimal

    @cached_property
    def key(self) -> bytes:
        """Identity of the cut: equal prompts with equal answers are one piece, whatever document they stand in."""
        parts = length_prefixed(*(part.encode("utf-8") for part in self.cut))
        return hashlib.blake2b(parts, digest_size=HASH_BYTES).digest()


class Selection:
    """The `size` pieces of lowest rank among all that are added; each key once, of its lowest group."""

    def __init__(self, size: int, seed: int, purpose: str) -> None:
        self.size = size
        self._seed = seed
        self._purpose = purpose
        self._kept: dict[bytes, tuple[float, Piece]] = {}

    def add(self, piece: Piece) -> None:
        """Offer a piece."""
        known = self._kept.get(piece.key)
        if known is not None and known[1].group <= piece.group:
            return
        self._kept[piece.key] = (stable_fraction(piece.key, self._seed, self._purpose), piece)
        if len(self._kept) > 2 * self.size:
            self._kept = dict(self._lowest())

    def update(self, pieces: Iterable[Piece]) -> None:
        """Offer many pieces."""
        for piece in pieces:
            self.add(piece)

    def _lowest(self) -> list[tuple[bytes, tuple[float, Piece]]]:
        return sorted(self._kept.items(), key=lambda entry: (entry[1][0], entry[0]))[: self.size]

    def pieces(self) -> list[Piece]:
        """The chosen pieces, lowest rank first."""
        return [piece for _, (_, piece) in self._lowest()]


def choose(pieces: Iterable[Piece], size: int, seed: int, purpose: str) -> list[Piece]:
    """The `size` pieces of lowest rank, lowest first."""
    selection = Selection(size, seed, purpose)
    selection.update(pieces)
    return selection.pieces()
