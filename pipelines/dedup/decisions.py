"""Who goes and to whom: the decisions about the documents of one partition.

Rank is partition order, then content hash, then document id. Equal texts form a group, represented by the first of them
in rank; only representatives have edges. A copy of a representative that stays goes to it, at level exact; a copy of
one that goes, follows it to the same keeper with the same similarity, at level near. Documents of earlier partitions
are decided already and enter as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.dedup.walk import walk

__all__ = ["Edge", "Fate", "Member", "decide"]


class Member(NamedTuple):
    """A document; its natural order is its rank."""

    order: int  # position of its partition in partition order
    content_hash: bytes
    document_id: bytes


class Fate(NamedTuple):
    """Why a document goes."""

    kept_order: int
    kept_id: bytes
    similarity: float
    level: str
    band: int | None


class Edge(NamedTuple):
    """A verified pair; `left` belongs to the partition that is decided and ranks after `right`."""

    left_id: bytes
    right_order: int
    right_id: bytes
    similarity: float
    band: int


def _representatives(members: Sequence[Member]) -> dict[bytes, Member]:
    """The first in rank of each content hash."""
    first: dict[bytes, Member] = {}
    for member in sorted(members):
        first.setdefault(member.content_hash, member)
    return first


def _walk_representatives(
    own: set[Member], edges: Sequence[Edge], earlier: Mapping[Member, Fate | None]
) -> dict[Member, Fate]:
    nodes = sorted({*own, *earlier})
    number = {(node.order, node.document_id): i for i, node in enumerate(nodes)}
    order = next(iter(own)).order
    lower = np.array([number[order, edge.left_id] for edge in edges], dtype=np.int64)
    higher = np.array([number[edge.right_order, edge.right_id] for edge in edges], dtype=np.int64)
    stays_so_far = np.array([earlier.get(node) is None for node in nodes], dtype=bool)
    fates = {}
    for node, position in zip(nodes, walk(stays_so_far, lower, higher).tolist(), strict=True):
        if position >= 0:
            edge = edges[position]
            fates[node] = Fate(edge.right_order, edge.right_id, edge.similarity, "near", edge.band)
    return fates


def decide(
    own: Sequence[Member], edges: Sequence[Edge], earlier: Mapping[Member, Fate | None], *, exact: bool
) -> dict[Member, Fate]:
    """The fates of those documents of a partition that go.

    Args:
        own: documents of the partition; those without edges and without copies may be left out.
        edges: the partition's verified pairs, between representatives.
        earlier: documents of earlier partitions that have an edge or a text in common with one of `own`, each with
            the decision that removed it, or None where it stays.
        exact: whether equal texts go at level exact; else at level near, as pairs that meet in every band.

    Returns:
        By document that goes; every keeper is a document that stays.
    """
    if not own:
        return {}
    representatives = _representatives([*own, *earlier])
    leading = {member for member in own if representatives[member.content_hash] == member}
    walked = _walk_representatives(leading, edges, earlier) if leading else {}
    fates = dict(walked)
    for member in own:
        first = representatives[member.content_hash]
        if first == member:
            continue
        followed = walked.get(first) or earlier.get(first)
        level, band = ("exact", None) if exact else ("near", 0)
        fates[member] = followed or Fate(first.order, first.document_id, 1.0, level, band)
    return fates
