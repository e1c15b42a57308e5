"""Similarities measured on stored texts: of documents that went by their URL, and for audits of any pair."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.dedup.decisions import Fates
from pipelines.dedup.stored_documents import NamedDocuments, texts_within
from pipelines.dedup.verification import comparable_sets, similarities
from schemas.configs.dedup import DedupConfig, SignatureConfig
from schemas.corpus_root import CorpusRoot, PartitionKey

__all__ = ["exact_similarity", "fill_in_similarities", "measured_similarities"]

_PAIRS_AT_ONCE = 2048
# Memory of a byte of text: as Python's and as Arrow's, 1.5 bytes of hashes in each order, and what it is read from.
_TEXT_BYTES = 8


def exact_similarity(ones: Sequence[str], others: Sequence[str], config: SignatureConfig) -> NDArray[np.float64]:
    """The exact similarity of pairs of texts; 1 for equal ones, also where they are too short to have an n-gram."""
    left, right = (comparable_sets(pa.array(texts, pa.large_string()), config) for texts in (ones, others))
    pairs = np.arange(len(ones))
    values = similarities(left, right, (pairs, pairs), 0.0)
    values[[one == other for one, other in zip(ones, others, strict=True)]] = 1.0
    return values


def measured_similarities(
    root: CorpusRoot, order: Sequence[PartitionKey], config: DedupConfig, ones: NamedDocuments, others: NamedDocuments
) -> NDArray[np.float64]:
    """The exact similarity of pairs of documents, with as many texts in memory at once as `memory_mib` holds.

    A batch whose texts turn out to be too long is cut in halves and read again; a pair is read whatever its length.

    Args:
        root: the corpus.
        order: all partitions in partition order.
        config: the settings.
        ones: documents; where neighbours lie in the same files, few files are read for a batch.
        others: as many.

    Raises:
        ContractError: a document is not there.
    """
    values = np.empty(len(ones.positions))
    starts = np.arange(_PAIRS_AT_ONCE, len(values), _PAIRS_AT_ONCE)
    pending = [rows for rows in np.split(np.arange(len(values)), starts) if len(rows)]
    while pending:
        rows = pending.pop()
        # Half of it for each side.
        most = config.memory_mib * 2**20 // _TEXT_BYTES // 2 if len(rows) > 1 else sys.maxsize
        left = texts_within(root, order, ones.take(rows), most)
        right = None if left is None else texts_within(root, order, others.take(rows), most)
        if left is None or right is None:
            pending += np.array_split(rows, 2)
        else:
            values[rows] = exact_similarity(left, right, config)
    return values


def fill_in_similarities(
    root: CorpusRoot,
    order: Sequence[PartitionKey],
    config: DedupConfig,
    removed: pa.Table,
    fates: Fates,
    keepers: pa.Table,
) -> None:
    """Measure the similarities that are NaN.

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
    gone = NamedDocuments(places, removed["document_id"]).take(rows)
    kept = NamedDocuments(kept_places, keepers["document_id"]).take(fates.keeper[rows])
    fates.similarity[rows] = measured_similarities(root, order, config, gone, kept)
