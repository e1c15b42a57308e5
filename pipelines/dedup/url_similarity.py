"""The similarity of documents that went by their URL to their keepers, measured on the texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.dedup.decisions import Fates
from pipelines.dedup.stored_documents import texts_of
from pipelines.dedup.verification import comparable_sets, similarities
from schemas.configs.dedup import DedupConfig, SignatureConfig
from schemas.corpus_root import CorpusRoot, PartitionKey

__all__ = ["exact_similarity", "measure_similarities"]

# Pairs whose texts are in memory at once: 20 MB of web pages of 5 kB.
_PAIRS_AT_ONCE = 2048


def exact_similarity(ones: Sequence[str], others: Sequence[str], config: SignatureConfig) -> NDArray[np.float64]:
    """The exact similarity of pairs of texts; 1 for equal ones, also where they are too short to have an n-gram."""
    left, right = (comparable_sets(pa.array(texts, pa.large_string()), config) for texts in (ones, others))
    pairs = np.arange(len(ones))
    values = similarities(left, right, (pairs, pairs), 0.0)
    values[[one == other for one, other in zip(ones, others, strict=True)]] = 1.0
    return values


def _batches(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), _PAIRS_AT_ONCE):
        yield rows[start : start + _PAIRS_AT_ONCE]


def measure_similarities(
    root: CorpusRoot,
    order: Sequence[PartitionKey],
    config: DedupConfig,
    removed: pa.Table,
    fates: Fates,
    keepers: pa.Table,
) -> None:
    """Fill in the similarities that are NaN.

    Args:
        root: the corpus.
        order: all partitions in partition order.
        config: the settings.
        removed: `order` and `document_id` of documents that go.
        fates: theirs, changed in place.
        keepers: `order` and `document_id` by number of keeper.
    """
    places, kept_places = removed["order"].to_numpy(), keepers["order"].to_numpy()
    rows = np.flatnonzero(np.isnan(fates.similarity))
    # By the places of both, so that a batch reads few files.
    rows = rows[np.lexsort((fates.keeper[rows], kept_places[fates.keeper[rows]], places[rows]))]
    for batch in _batches(rows):
        kept = fates.keeper[batch]
        ones = texts_of(root, order, places[batch], removed["document_id"].take(pa.array(batch)))
        others = texts_of(root, order, kept_places[kept], keepers["document_id"].take(pa.array(kept)))
        fates.similarity[batch] = exact_similarity(ones, others, config)
