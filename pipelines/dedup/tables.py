"""Between committed tables and the plain values that decisions are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.dedup.decisions import Edge, Fate, Member
from schemas.catalog import iterate_table, read_table
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError
from schemas.tables import CLUSTERS, DUPLICATES

__all__ = ["clusters_table", "duplicates_table", "involved_members", "read_earlier", "read_edges"]

_IDS = ["document_id", "content_hash"]


class _Places:
    """Positions of partitions in partition order, for reading rows that name them."""

    def __init__(self, order: Sequence[PartitionKey]) -> None:
        self._positions = {key: position for position, key in enumerate(order)}

    def of(self, source: str, partition: str, where: str) -> int:
        try:
            return self._positions[PartitionKey(source, partition)]
        except KeyError:
            raise ContractError(
                f"{where} names {source}/{partition}, which has no documents any more; run dedup over all partitions"
            ) from None


def read_edges(root: CorpusRoot, order: Sequence[PartitionKey], position: int) -> list[Edge]:
    """The edges of the partition at `position`.

    Raises:
        ContractError: they name a partition that is not there.
    """
    places, key = _Places(order), order[position]
    edges = []
    for row in read_table(root, "edges", key).to_pylist():
        right = places.of(row["right_source"], row["right_partition"], f"edges of {key}")
        edges.append(Edge(row["left_id"], right, row["right_id"], row["similarity"], row["band"]))
    return edges


def _matching(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return table.filter(pc.is_in(table[column], value_set=values))


def _members(table: pa.Table, order: int) -> list[Member]:
    contents, ids = table["content_hash"].to_pylist(), table["document_id"].to_pylist()
    return [Member(order, content, document) for content, document in zip(contents, ids, strict=True)]


def _fates(root: CorpusRoot, key: PartitionKey, places: _Places, ids: pa.Array) -> dict[bytes, Fate]:
    """The decisions on some documents of an earlier partition, as they are, by removed id."""
    fates = {}
    for table in iterate_table(root, "duplicates", key):
        for row in _matching(table, "removed_id", ids).to_pylist():
            kept = places.of(row["kept_source"], row["kept_partition"], f"duplicates of {key}")
            fates[row["removed_id"]] = Fate(kept, row["kept_id"], row["similarity"], row["level"], row["band"])
    return fates


def read_earlier(
    root: CorpusRoot, order: Sequence[PartitionKey], position: int, contents: pa.Array, edges: Sequence[Edge]
) -> dict[Member, Fate | None]:
    """Documents of partitions before `position` that share a text or an edge with it, each with its fate.

    Args:
        root: the corpus.
        order: all partitions in partition order.
        position: of the partition that is to be decided.
        contents: the content hashes of its documents.
        edges: its edges.

    Raises:
        ContractError: an earlier decision names a partition that is not there.
    """
    places = _Places(order)
    linked: dict[int, set[bytes]] = {}
    for edge in edges:
        linked.setdefault(edge.right_order, set()).add(edge.right_id)
    earlier: dict[Member, Fate | None] = {}
    for before in range(position):
        ids = pa.array(sorted(linked.get(before, ())), type=pa.binary(16))
        members: list[Member] = []
        for table in iterate_table(root, "documents", order[before], _IDS):
            involved = pc.or_(
                pc.is_in(table["content_hash"], value_set=contents), pc.is_in(table["document_id"], value_set=ids)
            )
            members += _members(table.filter(involved), before)
        found = pa.array([member.document_id for member in members], type=pa.binary(16))
        fates = _fates(root, order[before], places, found) if members else {}
        earlier.update((member, fates.get(member.document_id)) for member in members)
    return earlier


def involved_members(
    documents: pa.Table, order: int, edges: Sequence[Edge], earlier: Mapping[Member, Fate | None]
) -> list[Member]:
    """The documents of a partition (`document_id`, `content_hash`) that have an edge or an equal text anywhere."""
    counted = documents.group_by("content_hash").aggregate([([], "count_all")])
    repeated = counted.filter(pc.greater(counted["count_all"], 1))["content_hash"].to_pylist()
    contents = pa.array({*repeated, *(member.content_hash for member in earlier)}, type=pa.binary(16))
    linked = {edge.left_id for edge in edges} | {edge.right_id for edge in edges if edge.right_order == order}
    involved = pc.or_(
        pc.is_in(documents["content_hash"], value_set=contents),
        pc.is_in(documents["document_id"], value_set=pa.array(linked, type=pa.binary(16))),
    )
    return _members(documents.filter(involved), order)


def duplicates_table(fates: Mapping[Member, Fate], order: Sequence[PartitionKey], config: str) -> pa.Table:
    """Rows of `duplicates/`; `config` is the fingerprint of the settings that decided."""
    rows = [
        {
            "removed_id": member.document_id,
            "removed_source": order[member.order].source,
            "removed_partition": order[member.order].partition,
            "kept_id": fate.kept_id,
            "kept_source": order[fate.kept_order].source,
            "kept_partition": order[fate.kept_order].partition,
            "similarity": fate.similarity,
            "level": fate.level,
            "band": fate.band,
            "config": config,
        }
        for member, fate in fates.items()
    ]
    return pa.Table.from_pylist(rows, schema=DUPLICATES)


def clusters_table(
    fates: Mapping[Member, Fate], order: Sequence[PartitionKey], captured_at: Mapping[bytes, datetime | None]
) -> pa.Table:
    """Rows of `clusters/`: what each keeper stands for in this partition.

    Args:
        fates: the partition's documents that go.
        order: all partitions in partition order.
        captured_at: by id of these documents.
    """
    copies: dict[tuple[int, bytes], list[Member]] = {}
    for member, fate in fates.items():
        copies.setdefault((fate.kept_order, fate.kept_id), []).append(member)
    rows = []
    for (kept_order, kept_id), members in copies.items():
        seen = [moment for moment in (captured_at[member.document_id] for member in members) if moment is not None]
        rows.append(
            {
                "kept_id": kept_id,
                "kept_source": order[kept_order].source,
                "kept_partition": order[kept_order].partition,
                "copies": len(members),
                "first_seen": min(seen, default=None),
                "last_seen": max(seen, default=None),
                "sources": sorted({order[member.order].source for member in members}),
            }
        )
    return pa.Table.from_pylist(rows, schema=CLUSTERS)
