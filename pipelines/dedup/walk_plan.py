"""How a graph that is over the memory budget is walked: which edges are held together, and by whom.

Connected components are independent of each other, so they are what is handed to workers: small ones together, as many
as the budget holds, and one that is over the budget alone, cut into ranges of ranks. The walk of a component does not
depend on where it is done, so the budget and the workers change no decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["EdgeBatches", "Piece", "WalkPlan", "component_labels", "plan_walk"]

I64 = NDArray[np.int64]

# Gives all edges anew, in the same batches each time: (lower ends, higher ends).
EdgeBatches = Callable[[], Iterator[tuple[I64, I64]]]


@dataclass(frozen=True)
class Piece:
    """Edges that are held at once; `hub` as in `walk.Round`."""

    number: int
    hub: int | None = None


@dataclass(frozen=True)
class WalkPlan:
    """Who holds which edges.

    Attributes:
        piece_of: by document: the number of the piece that holds the edges whose lower end it is.
        tasks: what one worker does, each as its pieces in the order in which they are walked.
    """

    piece_of: NDArray[np.int32]
    tasks: tuple[tuple[Piece, ...], ...]


def component_labels(documents: int, edges: EdgeBatches) -> I64:
    """By document: the number of its connected component; memory is 30 bytes a document and one batch of edges."""
    labels = np.arange(documents)
    for lower, higher in edges():
        ends = labels[lower], labels[higher]
        graph = coo_array((np.ones(len(lower), dtype=np.int8), ends), shape=(documents, documents))
        _, joined = connected_components(graph, directed=False)
        labels = joined[labels].astype(np.int64)
    return labels


def _degrees(documents: int, edges: EdgeBatches) -> I64:
    """By document: of how many edges it is the lower end."""
    degrees = np.zeros(documents, dtype=np.int64)
    for lower, _ in edges():
        degrees += np.bincount(lower, minlength=documents)
    return degrees


def _ranges(degrees: I64, budget: int) -> I64:
    """Cut documents, in rank order, into ranges of at most `budget` edges or of one document; starts of the ranges."""
    ends = np.cumsum(degrees)
    starts, start = [], 0
    while start < len(degrees):
        starts.append(start)
        before = ends[start] - degrees[start]
        start = max(start + 1, int(np.searchsorted(ends, before + budget, side="right")))
    return np.array(starts)


def plan_walk(documents: int, edges: EdgeBatches, budget: int) -> WalkPlan:
    """Share out a graph.

    Args:
        documents: how many there are, numbered in rank order.
        edges: all edges.
        budget: edges that one worker may hold at once.
    """
    degrees = _degrees(documents, edges)
    labels = component_labels(documents, edges)
    sizes = np.bincount(labels, weights=degrees).astype(np.int64)
    # Components of one bin have numbers next to each other and less than a budget of edges before the last of them
    # begins, so a bin stays under two budgets; halved, under one.
    half = max(1, budget // 2)
    small = np.where(sizes > half, 0, sizes)
    bins = (np.cumsum(small) - small) // half
    _, bins = np.unique(bins, return_inverse=True)
    piece_of = bins[labels].astype(np.int32)
    tasks: list[tuple[Piece, ...]] = [(Piece(number),) for number in range(int(bins.max(initial=-1)) + 1)]
    number = len(tasks)
    for component in np.flatnonzero(sizes > half).tolist():
        members = np.flatnonzero(labels == component)
        starts = _ranges(degrees[members], budget)
        piece_of[members] = number + np.searchsorted(starts, np.arange(len(members)), side="right") - 1
        pieces = []
        for place, start in enumerate(starts.tolist()):
            hub = int(members[start]) if degrees[members[start]] > budget else None
            pieces.append(Piece(number + place, hub))
        tasks.append(tuple(pieces))
        number += len(starts)
    return WalkPlan(piece_of, tuple(tasks))
