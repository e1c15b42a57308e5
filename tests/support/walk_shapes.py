"""Graphs of the design page, and what the walk makes of them, found from the keepers' side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Edges = list[tuple[int, int]]


def keepers_by_elimination(kept_before: list[bool], edges: Edges) -> dict[int, int]:
    """By removed document its keeper, found from the keepers' side.

    The highest-ranked document that is left is always one that stays: take it out, and with it all that are like it.
    """
    like: dict[int, set[int]] = {}
    for one, other in edges:
        like.setdefault(one, set()).add(other)
        like.setdefault(other, set()).add(one)
    keepers: dict[int, int] = {}
    for document, stays in enumerate(kept_before):
        if stays and document not in keepers:
            for other in like.get(document, ()):
                if kept_before[other]:
                    keepers.setdefault(other, document)
    return {removed: keeper for removed, keeper in keepers.items() if removed > keeper}


def in_batches(edges: Edges, size: int = 1000) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(edges), size):
        ends = np.array(edges[start : start + size], dtype=np.int64)
        yield ends.max(axis=1), ends.min(axis=1)


def ring_of(size: int, first: int) -> Edges:
    return [(first + i, first + j) for i in range(size) for j in range(i)]


SHAPES: dict[str, tuple[int, Edges, int]] = {  # documents, edges, how many stay
    "a chain of 5,000 in rank order": (5000, [(i, i + 1) for i in range(4999)], 2500),
    "chains whose ends differ": (
        903,
        [(3 * i + a, 3 * i + b) for i in range(301) for a, b in ((0, 2), (1, 2))],
        602,  # the middle ranks last: both ends stay
    ),
    "a star whose hub ranks first": (4_000, [(0, i) for i in range(1, 4_000)], 1),
    "a star whose hub ranks last": (4_000, [(3_999, i) for i in range(3_999)], 3_999),
    "two cliques joined by one edge": (80, [*ring_of(40, 0), *ring_of(40, 40), (39, 40)], 2),
    "two cliques joined at their firsts": (80, [*ring_of(40, 0), *ring_of(40, 40), (0, 40)], 2),
}


def mixed_shapes() -> tuple[int, Edges]:
    """All shapes as one graph, their ranks mixed with each other as those of real components are."""
    every = len(SHAPES)
    edges = [
        (one * every + shape, other * every + shape)
        for shape, (_, inside, _) in enumerate(SHAPES.values())
        for one, other in inside
    ]
    return 1 + max(max(edge) for edge in edges), edges
