"""The greedy walk that decides who stays.

Documents are walked in rank order. A document goes exactly when an already kept one shares an edge with it; its keeper
is the highest-ranked such one. Otherwise it stays. So nothing goes through a chain of similar documents, no edge has
both ends kept, and every keeper stays: the kept documents are the lexicographically first maximal independent set of
the graph (Cook 1985).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["walk"]


def walk(kept_before: NDArray[np.bool_], lower: NDArray[np.int64], higher: NDArray[np.int64]) -> NDArray[np.int64]:
    """Decide all documents of a graph.

    Documents are numbered in rank order, 0 the highest. Those that were decided earlier are no edge's lower end.

    Args:
        kept_before: by document: False where an earlier decision removed it, else True.
        lower: the lower-ranked end of each edge; edges may come in any order.
        higher: the higher-ranked end of each edge.

    Returns:
        By document: the edge that removes it, by its position in `lower` and `higher`; -1 where it is not removed now.
    """
    kept = kept_before.tolist()
    removed_by = np.full(len(kept), -1, dtype=np.int64)
    # In this order all higher-ranked documents are decided before a document is, and the first kept one is the highest.
    order = np.lexsort((higher, lower))
    for edge, one, other in zip(order.tolist(), lower[order].tolist(), higher[order].tolist(), strict=True):
        if kept[one] and kept[other]:
            kept[one] = False
            removed_by[one] = edge
    return removed_by
