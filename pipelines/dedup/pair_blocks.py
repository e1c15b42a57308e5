"""Band keys and candidate pairs as Arrow blocks, the form in which they are grouped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.dedup.banding import Meeting, MeetingPairs, band_keys, bands_of, key_ranges
from pipelines.dedup.minhash import unpacked
from schemas.configs.dedup import Banding
from schemas.tables import ID

__all__ = [
    "BAND_KEYS",
    "KEYED",
    "PAIRS",
    "by_group",
    "grouped_keys",
    "key_blocks",
    "keyed_rows",
    "meeting_of",
    "pair_blocks",
    "portion",
    "together",
    "unique_pairs",
]

I64 = NDArray[np.int64]

BAND_KEYS = pa.schema(
    [
        pa.field("key", pa.uint64(), nullable=False),
        pa.field("file", pa.int32(), nullable=False),  # number of the signed file that the document lies in
        pa.field("shingles", pa.int32(), nullable=False),
        pa.field("set_hash", pa.uint64(), nullable=False),
        pa.field("content_hash", ID, nullable=False),
        pa.field("document_id", ID, nullable=False),
    ]
)

# What a band key says of its document.
KEYED = ["shingles", "set_hash", "content_hash", "document_id"]

PAIRS = pa.schema(
    [
        pa.field("left_id", ID, nullable=False),
        pa.field("right_id", ID, nullable=False),
        pa.field("right_file", pa.int32(), nullable=False),  # number of the signed file of the right document
        pa.field("band", pa.int32(), nullable=False),
    ]
)


def by_group(table: pa.Table, groups: I64) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each group together, groups ascending."""
    order = np.argsort(groups, kind="stable")
    numbers, starts = np.unique(groups[order], return_index=True)
    table = table.take(pa.array(order))
    for number, start, rows in zip(numbers, starts, np.diff(starts, append=len(order)), strict=True):
        yield int(number), table.slice(int(start), int(rows))


def together(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in fewer tables, each of at least so many but for the last."""
    pending: list[pa.Table] = []
    for table in tables:
        pending.append(table)
        if sum(one.num_rows for one in pending) >= rows:
            yield pa.concat_tables(pending)
            pending = []
    if pending:
        yield pa.concat_tables(pending)


def key_blocks(signatures: pa.Table, file: int, banding: Banding, ranges: int) -> Iterator[tuple[int, pa.Table]]:
    """The band keys of rows of `signatures/`: (range of the hash, rows of `BAND_KEYS`).

    Args:
        signatures: rows with signatures, of at least one shingle each.
        file: number of the signed file that they come from.
        banding: how signatures are cut.
        ranges: a power of two.
    """
    if signatures.num_rows == 0:
        return
    keys = band_keys(unpacked(signatures["signature"].combine_chunks()), banding).reshape(-1)
    documents = pa.array(np.repeat(np.arange(signatures.num_rows), banding.bands))
    yield from grouped_keys(keyed_rows(keys, file, signatures.select(KEYED).take(documents)), ranges)


def keyed_rows(keys: NDArray[np.uint64], file: int, documents: pa.Table) -> pa.Table:
    """Rows of `BAND_KEYS`: keys and their documents (columns `KEYED`), all of one signed file."""
    files = pa.array(np.full(len(keys), file, dtype=np.int32))
    columns = [pa.array(keys), files, *(documents[name] for name in KEYED)]
    return pa.Table.from_arrays(columns, schema=BAND_KEYS)


def grouped_keys(rows: pa.Table, ranges: int) -> Iterator[tuple[int, pa.Table]]:
    """Rows of `BAND_KEYS` by range of the hash."""
    yield from by_group(rows, key_ranges(rows["key"].to_numpy(), ranges))


def _id_words(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    """16-byte ids as two big-endian words each, so that they compare as their bytes do; shape (rows, 2)."""
    array = column.combine_chunks()
    raw = np.frombuffer(array.buffers()[1], dtype=">u8", offset=array.offset * 16, count=2 * len(array))
    return raw.astype(np.uint64).reshape(-1, 2)


def meeting_of(keys: pa.Table, orders: Sequence[int] | I64) -> Meeting:
    """Rows of `BAND_KEYS` as arrays.

    Args:
        keys: the rows.
        orders: by number of signed file, the position of its partition in partition order.
    """
    return Meeting(
        key=keys["key"].to_numpy(),
        order=np.asarray(orders, dtype=np.int64)[keys["file"].to_numpy()],
        shingles=keys["shingles"].to_numpy().astype(np.int64),
        set_hash=keys["set_hash"].to_numpy(),
        content=_id_words(keys["content_hash"]),
        document=_id_words(keys["document_id"]),
    )


def pair_blocks(keys: pa.Table, pairs: MeetingPairs) -> Iterator[tuple[int, pa.Table]]:
    """Pairs by the file that holds their left texts: (number of that file, rows of `PAIRS`)."""
    numbers = keys["file"].to_numpy().astype(np.int64)
    ids = keys["document_id"].combine_chunks()
    table = pa.Table.from_arrays(
        [
            ids.take(pa.array(pairs.lower)),
            ids.take(pa.array(pairs.higher)),
            pa.array(numbers[pairs.higher].astype(np.int32)),
            pa.array(bands_of(keys["key"].to_numpy()[pairs.lower])),
        ],
        schema=PAIRS,
    )
    yield from by_group(table, numbers[pairs.lower])


def unique_pairs(pairs: pa.Table) -> pa.Table:
    """One row per pair, with the lowest band in which it met, by right file, left id and right id.

    An id names one document of a partition and may name another in the next, so a pair is told by its right file too.
    """
    by = ["right_file", "left_id", "right_id"]
    lowest = pairs.group_by(by).aggregate([("band", "min")]).rename_columns([*by, "band"])
    return lowest.select(PAIRS.names).sort_by([(name, "ascending") for name in by])


def portion(table: pa.Table, column: str, number: int, portions: int) -> pa.Table:
    """Rows by an id: all those of an id are in the same one of `portions` portions, which are about equal."""
    if portions == 1:
        return table
    return table.filter(pa.array(_id_words(table[column])[:, 1] % np.uint64(portions) == number))
