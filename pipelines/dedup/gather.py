"""What decisions are made of: from committed tables to documents that share a URL, a text or an edge with another.

Of earlier partitions only what meets the partitions that are decided is taken up, with the fates that it has; their
columns of ids and hashes are read, no text. Memory: one file of these columns, 70 bytes for each document of the
partitions that are decided (the policy's columns and URLs, where they are wanted, come on top), and about 200 for each
document that shares something.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.dedup.decisions import LEVELS, Fates, Members
from pipelines.dedup.edge_blocks import EdgeTables
from pipelines.dedup.pair_blocks import together
from pipelines.dedup.places import Places, rows_of
from pipelines.dedup.ranking import empty_documents, rank_of, ranked_documents
from schemas.catalog import iterate_table, read_table
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.tables import DUPLICATES, ID

__all__ = ["Gathered", "gather"]

_NONE = -1
# Rows of earlier documents looked at together: each look makes a hash table of the new ones, 0.3 s a million.
_ROWS_AT_ONCE = 2**18
_TEXT = "text_key"  # the content hash where texts are compared, else null
_KEEPERS = pa.schema([pa.field("order", pa.int64()), pa.field("document_id", ID)])


@dataclass(frozen=True)
class Gathered:
    """Documents, and what is known of them.

    Attributes:
        documents: one row each, by `order`, the position of its partition: columns of `ranking.ranked_documents`.
        members: the same as numbers.
        before: the fates of those that are decided already.
        keepers: `order` and `document_id` of all that can be a keeper, under its number in fates: first `documents`.
        edges: the edges between them.
    """

    documents: pa.Table
    members: Members
    before: Fates
    keepers: pa.Table
    edges: EdgeTables


@dataclass(frozen=True)
class _Earlier:
    """Documents of earlier partitions, and their fates; a keeper below -1 is row -2 - keeper of `keepers`."""

    documents: pa.Table
    fates: Fates
    keepers: pa.Table


def _isin(column: pa.ChunkedArray, values: pa.Array) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=values)


def _joined(*arrays: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The distinct values of arrays, without null."""
    chunks = [one.combine_chunks() if isinstance(one, pa.ChunkedArray) else one for one in arrays]
    return pa.concat_arrays(chunks).unique().drop_null()


def _repeated(column: pa.ChunkedArray) -> pa.Array:
    counted = column.combine_chunks().value_counts()
    return counted.field("values").filter(pc.greater(counted.field("counts"), 1)).drop_null()


def _numbers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Distinct values numbered from 0; null is -1."""
    codes = column.combine_chunks().dictionary_encode().indices
    return np.asarray(pc.fill_null(codes, _NONE), dtype=np.int64)


class _Gathering:
    def __init__(self, root: CorpusRoot, order: Sequence[PartitionKey], own: range, config: DedupConfig) -> None:
        self.root, self.order, self.own, self.config = root, order, own, config
        self.edges = EdgeTables(root, order, own if config.near else range(0))
        self.places = Places(order)

    def documents(self, positions: Sequence[int]) -> Iterator[pa.Table]:
        """The documents of partitions, file by file."""
        for position in positions:
            compared = None
            if self.config.near and "exact" not in self.config.levels:
                signed = read_table(self.root, "signatures", self.order[position], ["document_id", "shingles"])
                compared = signed.filter(pc.greater(signed["shingles"], 0))["document_id"].combine_chunks()
            for table in ranked_documents(self.root, self.order[position], self.config):
                text = table["content_hash"].combine_chunks()
                if self.config.levels == ("url",):
                    text = pa.nulls(table.num_rows, ID)
                elif compared is not None:
                    text = pc.if_else(_isin(table["document_id"], compared).combine_chunks(), text, pa.scalar(None, ID))
                place = pa.array(np.full(table.num_rows, position, dtype=np.int64))
                yield table.append_column(_TEXT, text).append_column("order", place)

    def all_documents(self, positions: Sequence[int]) -> pa.Table:
        """The documents of partitions."""
        empty = empty_documents(self.config).append_column(_TEXT, pa.array([], ID))
        return pa.concat_tables([empty.append_column("order", pa.array([], pa.int64())), *self.documents(positions)])

    def earlier_documents(self, texts: list[pa.Array]) -> Iterator[pa.Table]:
        """Documents of earlier partitions; hashes of the texts that edges name are added to `texts` as they come by.

        An edge names the first document that has a text, so its copies come by with it or after it.
        """
        ends = self.edges.ends()
        for position in range(self.own.start):
            for table in self.documents([position]):
                if position in ends:
                    named = table.filter(_isin(table["document_id"], ends[position]))
                    texts.append(named["content_hash"].combine_chunks())
                yield table

    def earlier(self, own: pa.Array, urls: pa.Array) -> _Earlier:
        """Documents of earlier partitions that have one of these URLs, one of the `own` texts, or one with an edge."""
        found, texts = [self.all_documents(())], [own]
        for table in together(self.earlier_documents(texts), max(_ROWS_AT_ONCE, len(own) // 8)):
            met = pc.or_kleene(_isin(table[_TEXT], pa.concat_arrays(texts)), _isin(table["url_key"], urls))
            if pc.any(met).as_py():
                found.append(table.filter(met))
        documents = pa.concat_tables(found).combine_chunks()
        rows, positions = self._decided(documents)
        fates = Fates.all_stay(documents.num_rows)
        order = self.places.of(
            rows["kept_source"], rows["kept_partition"], lambda row: f"duplicates of {self.order[positions[row]]}"
        )
        kept = rows_of(documents, order, rows["kept_id"])
        fates.put(
            rows_of(documents, positions, rows["removed_id"]),
            np.where(kept != _NONE, kept, -2 - np.arange(len(kept))),
            pc.index_in(rows["level"], value_set=pa.array(LEVELS)).to_numpy(),
            rows["similarity"].to_numpy(),
            pc.fill_null(rows["band"], _NONE).to_numpy(),
        )
        return _Earlier(documents, fates, pa.table([pa.array(order), rows["kept_id"]], schema=_KEEPERS))

    def _decided(self, documents: pa.Table) -> tuple[pa.Table, NDArray[np.int64]]:
        """Rows of `duplicates/` about some documents, and the position of the partition of each."""
        columns = ["removed_id", "kept_id", "kept_source", "kept_partition", "similarity", "level", "band"]
        found, positions = [DUPLICATES.empty_table().select(columns)], [np.empty(0, dtype=np.int64)]
        orders = documents["order"].to_numpy()
        for position in np.unique(orders).tolist():
            start, end = np.searchsorted(orders, [position, position + 1])
            there = documents["document_id"].slice(start, end - start).combine_chunks()
            for rows in iterate_table(self.root, "duplicates", self.order[position], columns):
                found.append(rows.filter(_isin(rows["removed_id"], there)))
                positions.append(np.full(found[-1].num_rows, position, dtype=np.int64))
        return pa.concat_tables(found), np.concatenate(positions)

    def revived(self, own: pa.Table, earlier: _Earlier) -> pa.Table:
        """Earlier documents whose texts `own` has too, and that are there in documents alone that went by their URL."""
        by_url = (earlier.fates.keeper != _NONE) & (earlier.fates.level == LEVELS.index("url"))
        stood_for = _joined(earlier.documents.filter(pa.array(~by_url))[_TEXT])
        gone = earlier.documents.filter(pa.array(by_url)).select([_TEXT, "order", "document_id"])
        gone = gone.filter(pc.invert(_isin(gone[_TEXT], stood_for)))
        return gone.filter(_isin(gone[_TEXT], _joined(own[_TEXT])))

    def involved(self, own: pa.Table, earlier: pa.Table) -> pa.Table:
        """The own documents that have an edge, or a text or a URL that another one has."""
        ends = self.edges.ends()
        linked = np.zeros(own.num_rows, dtype=bool)
        for position in self.own:
            if position in ends:
                rows = rows_of(own, np.full(len(ends[position]), position), pa.chunked_array([ends[position]]))
                linked[rows[rows != _NONE]] = True
        met = pa.chunked_array([pa.array(linked)])
        for name in (_TEXT, "url_key"):
            shared = _joined(_repeated(own[name]), earlier[name])
            met = pc.or_(met, _isin(own[name], shared))
        return own.filter(met)

    def gather(self) -> Gathered:
        own = self.all_documents(self.own)
        texts, urls = _joined(own[_TEXT]), _joined(own["url_key"])
        earlier = self.earlier(texts, urls)
        if "url" in self.config.levels and self.config.near:
            revived = self.revived(own, earlier)
            if revived.num_rows:
                # Their edges lie where they first came up, and name texts that nothing here has named so far.
                self.edges.add_earlier(revived)
                earlier = self.earlier(texts, urls)
        documents = pa.concat_tables([earlier.documents, self.involved(own, earlier.documents)]).combine_chunks()
        before = Fates.all_stay(documents.num_rows)
        decided = earlier.fates
        before.put(np.arange(len(decided.keeper)), *decided)
        outside = before.keeper < _NONE
        before.keeper[outside] = documents.num_rows - 2 - before.keeper[outside]
        orders = documents["order"].to_numpy()
        members = Members(
            rank_of(documents, self.config),
            _numbers(documents[_TEXT]),
            _numbers(documents["url_key"]),
            orders >= self.own.start,
        )
        keepers = pa.concat_tables([documents.select(_KEEPERS.names).cast(_KEEPERS), earlier.keepers])
        return Gathered(documents, members, before, keepers, self.edges)


def gather(root: CorpusRoot, order: Sequence[PartitionKey], own: range, config: DedupConfig) -> Gathered:
    """Gather what decisions on partitions are made of.

    Args:
        root: the corpus.
        order: all partitions in partition order.
        own: positions of the partitions that are decided: one, or all.
        config: the settings.

    Raises:
        ContractError: an edge or an earlier decision names a partition that is not there.
    """
    return _Gathering(root, order, own, config).gather()
