"""Who goes and to whom: the three levels over documents that share a URL, a text or an edge with another.

Levels run url, exact, near. Of each URL its first document in rank goes on; of each text the first of those represents
it; the walk goes over representatives. A copy of a representative that stays goes to it, at level exact; a copy of one
that goes follows it to the same keeper with the same similarity, at level near. What went by its URL goes to the keeper
of the document that stood for the URL, with a similarity of its own, which is measured afterwards. So every keeper is a
document that stays. Documents of earlier partitions may be decided already; they enter as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.dedup.walk import Removed
from pipelines.dedup.walk_plan import EdgeBatches

__all__ = ["LEVELS", "EdgeBlock", "EdgeBlocks", "Fates", "Members", "Walk", "decide"]

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

LEVELS = ("url", "exact", "near")
_URL, _EXACT, _NEAR = range(3)
_NONE = -1  # no number: no keeper, no URL, no band


class Fates(NamedTuple):
    """What was decided about documents, one value each.

    Attributes:
        keeper: number of the document that is kept instead; -1 where the document stays.
        level: place in `LEVELS`.
        similarity: to the keeper; NaN where it is to be measured.
        band: the lowest band in which the pair met; -1 for none.
    """

    keeper: I64
    level: NDArray[np.int8]
    similarity: F64
    band: NDArray[np.int32]

    @classmethod
    def all_stay(cls, documents: int) -> Fates:
        """Nobody goes."""
        return cls(
            np.full(documents, _NONE, dtype=np.int64),
            np.zeros(documents, dtype=np.int8),
            np.full(documents, np.nan),
            np.full(documents, _NONE, dtype=np.int32),
        )

    def take(self, rows: I64) -> Fates:
        """Those of some documents."""
        return Fates(self.keeper[rows], self.level[rows], self.similarity[rows], self.band[rows])

    def put(
        self,
        rows: I64 | NDArray[np.bool_],
        keeper: I64,
        level: NDArray[np.int8] | int,
        similarity: F64 | float,
        band: NDArray[np.int32] | int,
    ) -> None:
        """Decide some documents."""
        self.keeper[rows], self.level[rows], self.similarity[rows], self.band[rows] = keeper, level, similarity, band


class Members(NamedTuple):
    """Documents that are decided together, and earlier ones that they meet; all columns have the same length.

    Attributes:
        rank: each document's place in the ranking, 0 the highest; no two alike.
        text: number of its text; -1 where it is not compared by its text.
        url: number of its URL; -1 where it is not compared by its URL.
        own: whether it is to be decided now.
    """

    rank: I64
    text: I64
    url: I64
    own: NDArray[np.bool_]


class EdgeBlock(NamedTuple):
    """Some verified pairs of texts; all columns have the same length."""

    one: I64  # number of a text, or -1 where it is of no member
    other: I64
    similarity: F64
    band: NDArray[np.int32]


EdgeBlocks = Callable[[], Iterable[EdgeBlock]]
Walk = Callable[[NDArray[np.bool_], EdgeBatches], Removed]


def _first_by(groups: I64, rows: I64, rank: I64) -> I64:
    """By group: the row of the highest rank among `rows`, or -1; groups are numbered from 0, -1 is none."""
    count = int(groups.max(initial=_NONE)) + 1
    first = np.full(count, _NONE, dtype=np.int64)
    rows = rows[groups[rows] != _NONE]
    rows = rows[np.argsort(-rank[rows])]
    first[groups[rows]] = rows  # of several values for one place the last one stays, which is of the highest rank
    return first


def _merged(better: I64, worse: I64) -> I64:
    return np.where(better != _NONE, better, worse)


def _stand_for_urls(members: Members, before: Fates) -> I64:
    """By URL: the document that stands for it; an earlier one where there is one."""
    rows = np.arange(len(members.rank))
    earlier = rows[~members.own]
    # One document of an earlier URL did not go by it. Where all did, under other settings, the first has their keeper.
    led = earlier[(before.keeper[earlier] == _NONE) | (before.level[earlier] != _URL)]
    first = _merged(_first_by(members.url, led, members.rank), _first_by(members.url, earlier, members.rank))
    return _merged(first, _first_by(members.url, rows[members.own], members.rank))


def _stand_for_texts(members: Members, before: Fates, alive: NDArray[np.bool_]) -> I64:
    """By text: the document that represents it; an earlier one that stays, else one that went, else one of `alive`."""
    rows = np.arange(len(members.rank))
    earlier = rows[~members.own & ((before.keeper == _NONE) | (before.level != _URL))]
    staying = _first_by(members.text, earlier[before.keeper[earlier] == _NONE], members.rank)
    gone = _first_by(members.text, earlier, members.rank)
    return _merged(_merged(staying, gone), _first_by(members.text, rows[alive], members.rank))


def _edges_between(members: Members, leaders: I64, blocks: EdgeBlocks, node_of: I64) -> Iterator[EdgeBlock]:
    """The edges between representatives of which one is decided now; ends are numbers of nodes, lower rank first."""
    leader_of = np.append(leaders, _NONE)  # of text -1 there is none
    for block in blocks():
        rows = np.stack([leader_of[block.one], leader_of[block.other]])
        known = (rows != _NONE).all(axis=0)
        known[known] = members.own[rows[:, known]].any(axis=0)
        ends = node_of[rows[:, known]]
        yield EdgeBlock(ends.max(axis=0), ends.min(axis=0), block.similarity[known], block.band[known])


def _picked(blocks: Iterable[EdgeBlock], places: I64) -> EdgeBlock:
    """Some edges, by their places among all."""
    ends = np.empty((2, len(places)), dtype=np.int64)
    similarity, band = np.empty(len(places)), np.empty(len(places), dtype=np.int32)
    first = 0
    for block in blocks:
        here = np.flatnonzero((places >= first) & (places < first + len(block.one)))
        chosen = places[here] - first
        ends[0, here], ends[1, here] = block.one[chosen], block.other[chosen]
        similarity[here], band[here] = block.similarity[chosen], block.band[chosen]
        first += len(block.one)
    return EdgeBlock(ends[0], ends[1], similarity, band)


def _walk_texts(members: Members, fates: Fates, leaders: I64, blocks: EdgeBlocks, walk: Walk) -> None:
    """Decide the representatives."""
    nodes = leaders[leaders != _NONE]
    nodes = nodes[np.argsort(members.rank[nodes])]
    node_of = np.full(len(members.rank), _NONE, dtype=np.int64)
    node_of[nodes] = np.arange(len(nodes))

    def between() -> Iterator[EdgeBlock]:
        return _edges_between(members, leaders, blocks, node_of)

    removed = walk(fates.keeper[nodes] == _NONE, lambda: ((edges.one, edges.other) for edges in between()))
    edge = _picked(between(), removed.edge)
    fates.put(nodes[removed.node], nodes[edge.other], _NEAR, edge.similarity, edge.band)


def decide(
    members: Members,
    before: Fates,
    levels: frozenset[str],
    edges: EdgeBlocks,
    walk: Walk,
) -> Fates:
    """The fates of all members.

    Args:
        members: documents; those of the partitions that are decided now that share nothing may be left out.
        before: the fates of earlier documents; own ones stay so far. A keeper that is no member has a number from
            `len(members.rank)` on.
        levels: names of the levels that run. Without exact, equal texts go at level near, as pairs that meet in every
            band.
        edges: all verified pairs of texts, in blocks; the same each time it is called.
        walk: decides a graph whose documents are numbered in rank order, given who is not gone and the edges.

    Returns:
        Fates of all members, those of earlier ones as they were.
    """
    rows = np.arange(len(members.rank))
    fates = before.take(rows)
    alive = members.own.copy()
    heads = _stand_for_urls(members, before) if "url" in levels else np.empty(0, dtype=np.int64)
    by_url = np.zeros(len(rows), dtype=bool)
    if len(heads):
        by_url = members.own & (members.url != _NONE)
        by_url[by_url] = heads[members.url[by_url]] != rows[by_url]
        alive &= ~by_url
    if levels & {"exact", "near"}:
        leaders = _stand_for_texts(members, before, alive)
        if "near" in levels:
            _walk_texts(members, fates, leaders, edges, walk)
        copies = rows[alive & (members.text != _NONE)]
        lead = leaders[members.text[copies]]
        copies, lead = copies[lead != copies], lead[lead != copies]
        kept = fates.keeper[lead] == _NONE
        level, band = (_EXACT, _NONE) if "exact" in levels else (_NEAR, 0)
        fates.put(copies[kept], lead[kept], level, 1.0, band)
        follow, lead = copies[~kept], lead[~kept]
        fates.put(follow, fates.keeper[lead], fates.level[lead], fates.similarity[lead], fates.band[lead])
    redirected = rows[by_url]
    lead = heads[members.url[redirected]] if len(redirected) else redirected
    keeper = np.where(fates.keeper[lead] == _NONE, lead, fates.keeper[lead])
    fates.put(redirected, keeper, _URL, np.nan, _NONE)
    return fates
