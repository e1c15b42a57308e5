"""The edges that a decision needs, read from `edges/` file by file as often as they are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.dedup.decisions import EdgeBlock
from pipelines.dedup.places import Places, rows_of
from schemas.catalog import iterate_table, manifest_of
from schemas.corpus_root import CorpusRoot, PartitionKey

__all__ = ["EdgeTables"]

I64 = NDArray[np.int64]
_NONE = -1


class _Rows(NamedTuple):
    """Rows of `edges/`, and the positions of the partitions that they name."""

    left: I64
    right: I64
    rows: pa.Table


class EdgeTables:
    """Edges of some partitions, and of earlier ones those that touch given documents."""

    def __init__(self, root: CorpusRoot, order: Sequence[PartitionKey], own: range) -> None:
        """See the class; `own` are positions of partitions whose edges are committed."""
        self._root, self._order, self._own = root, order, own
        self._places = Places(order)
        self._touching: pa.Table | None = None
        self._ends: dict[int, pa.Array] | None = None

    def add_earlier(self, documents: pa.Table) -> None:
        """Also give earlier edges that touch one of these documents: `order`, ascending, and `document_id`."""
        self._touching, self._ends = documents, None

    def __len__(self) -> int:
        """How many edges the tables that are read hold; not all of them need be given."""
        first = self._own.start if self._touching is None else 0
        manifests = (manifest_of(self._root, "edges", key) for key in self._order[first : self._own.stop])
        return sum(manifest.tables["edges"].rows for manifest in manifests if manifest)

    def _read(self, position: int) -> Iterator[_Rows]:
        key = self._order[position]
        for rows in iterate_table(self._root, "edges", key):
            right = self._places.of(rows["right_source"], rows["right_partition"], lambda _: f"edges of {key}")
            yield _Rows(np.full(rows.num_rows, position, dtype=np.int64), right, rows)

    def _rows(self) -> Iterator[_Rows]:
        for position in range(self._own.start) if self._touching is not None else ():
            for left, right, rows in self._read(position):
                touching = (rows_of(self._touching, left, rows["left_id"]) != _NONE) | (
                    rows_of(self._touching, right, rows["right_id"]) != _NONE
                )
                yield _Rows(left[touching], right[touching], rows.filter(pa.array(touching)))
        for position in self._own:
            yield from self._read(position)

    def ends(self) -> dict[int, pa.Array]:
        """By position: the distinct ids of documents that edges name; read once."""
        if self._ends is None:
            self._ends = self._read_ends()
        return self._ends

    def _read_ends(self) -> dict[int, pa.Array]:
        found: dict[int, list[pa.Array]] = {}
        for left, right, rows in self._rows():
            for places, ids in ((left, rows["left_id"]), (right, rows["right_id"])):
                for position in np.unique(places).tolist():
                    there = ids.filter(pa.array(places == position)).combine_chunks()
                    found.setdefault(position, []).append(there.unique())
        return {position: pa.concat_arrays(ids).unique() for position, ids in sorted(found.items())}

    def blocks(self, documents: pa.Table, texts: I64) -> Iterator[EdgeBlock]:
        """The edges as numbers of texts.

        Args:
            documents: `order`, ascending, and `document_id`.
            texts: by row of it, the number of its text.
        """
        text_of = np.append(texts, _NONE)  # of row -1 there is none
        for left, right, rows in self._rows():
            yield EdgeBlock(
                text_of[rows_of(documents, left, rows["left_id"])],
                text_of[rows_of(documents, right, rows["right_id"])],
                rows["similarity"].to_numpy(),
                pc.cast(rows["band"], pa.int32()).to_numpy(),
            )
