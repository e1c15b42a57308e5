"""Documents named by (partition, id), as numbers: positions of partitions, and rows of a table of documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.corpus_root import PartitionKey
from schemas.errors import ContractError
from schemas.tables import ID

__all__ = ["Places", "numbered_ids", "rows_of"]

I64 = NDArray[np.int64]
_NONE = -1


class Places:
    """Positions of partitions in partition order, for reading rows that name them."""

    def __init__(self, order: Sequence[PartitionKey]) -> None:
        self._positions = {key: position for position, key in enumerate(order)}

    def of(self, source: pa.ChunkedArray, partition: pa.ChunkedArray, where: Callable[[int], str]) -> I64:
        """The position of the partition that each row names; `where` says what a row is of.

        Raises:
            ContractError: one is not there.
        """
        names = pc.binary_join_element_wise(source, partition, "/").combine_chunks().dictionary_encode()
        found: list[int] = []
        for number, name in enumerate(names.dictionary.to_pylist()):
            key = PartitionKey(*name.split("/", 1))
            if key not in self._positions:
                row = int(np.argmax(names.indices.to_numpy() == number))
                raise ContractError(
                    f"{where(row)} names {key}, which has no documents any more; run dedup over all partitions"
                )
            found.append(self._positions[key])
        positions: I64 = np.array(found, dtype=np.int64)[names.indices.to_numpy()]
        return positions


def rows_of(documents: pa.Table, order: NDArray[np.int64], ids: pa.ChunkedArray) -> NDArray[np.int64]:
    """By (position of its partition, id): the row of a document; -1 where it is not there.

    Args:
        documents: columns `order`, ascending, and `document_id`.
        order: positions.
        ids: ids, as many.
    """
    if not len(order):
        return np.empty(0, dtype=np.int64)
    orders = documents["order"].to_numpy()
    start, end = np.searchsorted(orders, [order.min(), order.max() + 1])
    there = numbered_ids(orders[start:end], documents["document_id"].slice(start, end - start))
    found = pc.index_in(numbered_ids(order, ids), value_set=there)
    rows: I64 = pc.fill_null(found, _NONE - int(start)).to_numpy().astype(np.int64) + start
    return rows


def numbered_ids(numbers: I64, ids: pa.ChunkedArray) -> pa.Array:
    """Pairs of a number and an id as one column of bytes, equal where both are."""
    array = ids.combine_chunks()
    joined = np.empty((len(array), ID.byte_width + 8), dtype=np.uint8)
    if len(array):
        raw = np.frombuffer(array.buffers()[1], dtype=np.uint8).reshape(-1, ID.byte_width)
        joined[:, : ID.byte_width] = raw[array.offset : array.offset + len(array)]
        joined[:, ID.byte_width :] = (
            np.ascontiguousarray(numbers, dtype=np.int64).view(np.uint8).reshape(len(array), -1)
        )
    return pa.Array.from_buffers(pa.binary(joined.shape[1]), len(array), [None, pa.py_buffer(joined)])
