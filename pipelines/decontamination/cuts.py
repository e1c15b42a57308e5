"""Cutting documents: n-grams go with what surrounds them, and short pieces go too (Brown et al. 2020, appendix C)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = ["CutRules", "Span", "kept_pieces"]


class Span(NamedTuple):
    """Code points `start` to `end` of a text, `end` not among them."""

    start: int
    end: int

    def holds(self, start: int, end: int) -> bool:
        """Whether all of another span lies in this one."""
        return self.start <= start and end <= self.end


class CutRules(NamedTuple):
    """How documents are cut.

    Attributes:
        reach: characters that go on each side of an n-gram.
        least: characters of a piece that stays.
        most: pieces in which a document may be left by the cuts, the short ones counted.
    """

    reach: int
    least: int
    most: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> CutRules:
        """From the settings of the stage, as a manifest holds them."""
        return cls(config["cut_characters"], config["least_piece"], config["most_pieces"])


def kept_pieces(characters: int, ngrams: Iterable[tuple[int, int]], rules: CutRules) -> list[Span]:
    """What stays of a text, in order; nothing where all of it goes, the whole where nothing is cut.

    The published text says that documents split into more than 10 pieces were removed, after it says that pieces under
    200 characters were discarded. Here all pieces count that the cuts leave: a text cut to crumbs goes.

    Args:
        characters: of the text.
        ngrams: start and end of each n-gram that is cut out, in any order; they may overlap.
        rules: how to cut.
    """
    pieces: list[Span] = []
    clean = 0
    for start, end in sorted(ngrams):
        if start - rules.reach > clean:
            pieces.append(Span(clean, start - rules.reach))
        clean = max(clean, end + rules.reach)
    if clean == 0:
        return [Span(0, characters)]
    if clean < characters:
        pieces.append(Span(clean, characters))
    if len(pieces) > rules.most:
        return []
    return [piece for piece in pieces if piece.end - piece.start >= rules.least]
