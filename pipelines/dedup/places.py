"""Documents named by (partition, id), as numbers: positions of partitions, and rows of a table of documents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.corpus_root import PartitionKey
from schemas.errors import ContractError

__all__ = ["Places", "rows_of"]

I64 = NDArray[np.int64]
_NONE = -1


class Places:
    """Positions of partitions in partition order, for reading rows that name them."""

    def __init__(self, order: Sequence[PartitionKey]) -> None:
        self._positions = {key: position for position, key in enumerate(order)}

    def of(self, source: pa.ChunkedArray, partition: pa.ChunkedArray, where: str) -> I64:
        """The position of the partition that each row names.

        Raises:
            ContractError: one is not there.
        """
        names = pc.binary_join_element_wise(source, partition, "/").combine_chunks().dictionary_encode()
        found: list[int] = []
        for name in names.dictionary.to_pylist():
            key = PartitionKey(*name.split("/", 1))
            if key not in self._positions:
                raise ContractError(
                    f"{where} names {key}, which has no documents any more; run dedup over all partitions"
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
    rows = np.full(len(order), _NONE, dtype=np.int64)
    orders = documents["order"].to_numpy()
    for position in np.unique(order).tolist():
        start, end = np.searchsorted(orders, [position, position + 1])
        wanted = np.flatnonzero(order == position)
        there = documents["document_id"].slice(start, end - start).combine_chunks()
        found = pc.index_in(ids.take(pa.array(wanted)), value_set=there)
        rows[wanted] = pc.fill_null(found, _NONE - int(start)).to_numpy() + start
    return rows
