"""Sets of n-grams as Arrow blocks, the form in which they travel to the texts that they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.dedup.pair_blocks import by_group
from pipelines.dedup.places import numbered_ids
from pipelines.dedup.shingles import ShingleSets
from schemas.tables import ID

__all__ = ["LEFT_SETS", "JoinedPairs", "joined_pairs", "left_sets"]

I64 = NDArray[np.int64]

LEFT_SETS = pa.schema(
    [
        pa.field("left_file", pa.int32(), nullable=False),  # number of the signed file of the left document
        pa.field("left_id", ID, nullable=False),
        pa.field("hashes", pa.large_list(pa.uint64()), nullable=False),  # ascending
        pa.field("right_ids", pa.list_(ID), nullable=False),  # its partners in one group of files
        pa.field("right_files", pa.list_(pa.int32()), nullable=False),  # number of the signed file of each of them
        pa.field("bands", pa.list_(pa.int32()), nullable=False),  # of each of them
    ]
)


def _lists(values: pa.Array, starts: I64, large: bool) -> pa.Array:
    """A list array of consecutive runs of `values`; `starts` has the end of the last run too."""
    kind = pa.LargeListArray if large else pa.ListArray
    return kind.from_arrays(pa.array(starts if large else starts.astype(np.int32)), values)


def _gathered(sets: ShingleSets, chosen: I64) -> pa.Array:
    """The sets of some texts as one list array."""
    counts = sets.counts[chosen]
    ends = np.concatenate([[0], np.cumsum(counts)])
    places = np.repeat(sets.ends[chosen] - ends[:-1], counts) + np.arange(ends[-1])
    return _lists(pa.array(sets.hashes[places]), ends, large=True)


def left_sets(
    pairs: pa.Table, ids: pa.ChunkedArray, sets: ShingleSets, file: int, groups: I64
) -> Iterator[tuple[int, pa.Table]]:
    """The sets of texts for each group of files that they have partners in: (number of the group, rows of `LEFT_SETS`).

    Args:
        pairs: rows of `PAIRS`.
        ids: of the texts.
        sets: of the texts.
        file: number of the signed file of the texts.
        groups: by number of a file, that of its group.
    """
    places = pc.index_in(pairs["left_id"], value_set=ids.combine_chunks()).to_numpy().astype(np.int64)
    by_left = np.argsort(places, kind="stable")
    places, pairs = places[by_left], pairs.take(pa.array(by_left))
    right_groups = groups[pairs["right_file"].to_numpy()]
    for group, rows in by_group(pairs, right_groups):
        mine = places[right_groups == group]
        starts = np.flatnonzero(np.diff(mine, prepend=-1))
        runs = np.append(starts, len(mine))
        chosen = mine[starts]
        columns = [
            pa.array(np.full(len(chosen), file, dtype=np.int32)),
            rows["left_id"].combine_chunks().take(pa.array(starts)),
            _gathered(sets, chosen),
            _lists(rows["right_id"].combine_chunks(), runs, large=False),
            _lists(rows["right_file"].combine_chunks(), runs, large=False),
            _lists(rows["band"].combine_chunks(), runs, large=False),
        ]
        yield group, pa.Table.from_arrays(columns, schema=LEFT_SETS)


class JoinedPairs(NamedTuple):
    """Pairs of which both sets are at hand, all columns of the same length.

    Attributes:
        left_files: number of the signed file of the left text.
        left_ids: id of the left text.
        right_files: number of the signed file of the right text.
        right_ids: id of the right text.
        bands: the lowest band in which they met.
        left_set: number of the left set.
        right_set: number of the right set.
    """

    left_files: NDArray[np.int32]
    left_ids: pa.Array
    right_files: NDArray[np.int32]
    right_ids: pa.Array
    bands: pa.Array
    left_set: I64
    right_set: I64


def joined_pairs(rows: pa.Table, texts: pa.Table) -> tuple[ShingleSets, JoinedPairs]:
    """The sets of rows of `LEFT_SETS`, and those of their pairs whose right texts are among `texts`.

    Args:
        rows: the sets.
        texts: `file`, the number of the signed file of a text, and `document_id`.
    """
    rows = rows.combine_chunks()
    hashes = rows["hashes"].combine_chunks()
    # Not `values`: those of an array that is a part of another are the whole of it.
    counts = pc.list_value_length(hashes).to_numpy().astype(np.int64)
    left = ShingleSets(hashes.flatten().to_numpy(), np.concatenate([[0], np.cumsum(counts)]))
    partners = pc.list_value_length(rows["right_ids"]).to_numpy()
    right_ids = pc.list_flatten(rows["right_ids"]).combine_chunks()
    right_files = pc.list_flatten(rows["right_files"]).to_numpy()
    # An id names one document of a partition and may name another in the next.
    there = numbered_ids(texts["file"].to_numpy(), texts["document_id"])
    found = pc.index_in(numbered_ids(right_files.astype(np.int64), pa.chunked_array([right_ids])), value_set=there)
    here = pa.array(np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False)))
    left_set = np.repeat(np.arange(rows.num_rows), partners)[here.to_numpy()]
    return left, JoinedPairs(
        left_files=rows["left_file"].to_numpy()[left_set],
        left_ids=rows["left_id"].combine_chunks().take(pa.array(left_set)),
        right_files=right_files[here.to_numpy()],
        right_ids=right_ids.take(here),
        bands=pc.list_flatten(rows["bands"]).combine_chunks().take(here),
        left_set=left_set,
        right_set=found.take(here).to_numpy().astype(np.int64),
    )
