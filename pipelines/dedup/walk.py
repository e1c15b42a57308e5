"""The greedy walk that decides who stays.

Documents are walked in rank order. A document goes exactly when an already kept one shares an edge with it; its keeper
is the highest-ranked such one. Otherwise it stays. So nothing goes through a chain of similar documents, no edge has
both ends kept, and every keeper stays: the kept documents are the lexicographically first maximal independent set of
the graph (Cook 1985).

A component that is over the memory budget is walked in rounds, one for each range of ranks, from the highest down: a
round holds the edges whose lower end lies in its range, and of all rounds before only who stayed, a byte a document.
This is time-forward processing (Chiang et al. 1995, section 3) with the answers kept in memory. Rounds that take all
documents that outrank their undecided neighbours give the same, and are as many as the longest chain has links.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["EDGE_BYTES", "Part", "Removed", "Round", "walk", "walk_rounds"]

I64 = NDArray[np.int64]

# Memory of one edge while it is walked: its two ends and its number as arrays (24 bytes), sorted copies of them and
# the sort order (32), and the three as Python numbers in lists (120).
EDGE_BYTES = 176


class Part(NamedTuple):
    """Edges; the three have the same length."""

    lower: I64  # the lower-ranked end
    higher: I64  # the higher-ranked end
    number: I64  # of the edge


class Round(NamedTuple):
    """The edges whose lower end lies in one range of ranks.

    Attributes:
        hub: the only document of the range, where its edges are too many to be held at once; else None.
        parts: the edges; one part where there is no hub.
    """

    hub: int | None
    parts: Iterable[Part]


class Removed(NamedTuple):
    """Documents that go, and the number of the edge to the keeper of each."""

    node: I64
    edge: I64


def _walk_part(kept: NDArray[np.bool_], part: Part) -> Removed:
    """Decide the lower ends of a part; whoever outranks them is decided, or is a lower end of this part too."""
    # In this order all higher-ranked documents are decided before a document is, and the first kept one is the highest.
    order = np.lexsort((part.higher, part.lower))
    ends = (column[order].tolist() for column in part)
    nodes, edges = [], []
    for one, other, number in zip(*ends, strict=True):
        if kept[one] and kept[other]:
            kept[one] = False
            nodes.append(one)
            edges.append(number)
    return Removed(np.array(nodes, dtype=np.int64), np.array(edges, dtype=np.int64))


def _walk_hub(kept: NDArray[np.bool_], hub: int, parts: Iterable[Part]) -> Removed:
    best = None
    for _, higher, number in parts:
        staying = np.flatnonzero(kept[higher])
        if kept[hub] and len(staying):
            place = staying[np.argmin(higher[staying])]
            found = (int(higher[place]), int(number[place]))
            best = found if best is None else min(best, found)
    kept[hub] &= best is None
    return Removed(np.array([hub] if best else [], dtype=np.int64), np.array(best[1:] if best else [], dtype=np.int64))


def walk_rounds(kept: NDArray[np.bool_], rounds: Iterable[Round]) -> Iterator[Removed]:
    """Decide documents whose edges come in rounds, those of the highest range of ranks first.

    Documents are numbered in rank order, 0 the highest. Those that were decided before are no edge's lower end.

    Args:
        kept: by document: False where an earlier decision removed it, else True; changed to what this walk decides.
        rounds: the edges, in any order inside a round.

    Yields:
        What goes in each round.
    """
    for hub, parts in rounds:
        if hub is not None:
            yield _walk_hub(kept, hub, parts)
        else:
            for part in parts:
                yield _walk_part(kept, part)


def walk(kept_before: NDArray[np.bool_], lower: I64, higher: I64) -> Removed:
    """Decide all documents of a graph whose edges fit in memory; see `walk_rounds`. Edges are numbered as they come."""
    part = Part(lower, higher, np.arange(len(lower)))
    (removed,) = walk_rounds(kept_before.copy(), [Round(None, [part])])
    return removed
