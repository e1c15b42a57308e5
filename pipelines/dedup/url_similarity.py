"""The similarity of documents that went by their URL to their keepers, measured on the texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.dedup.decisions import Fates
from pipelines.dedup.signed_files import document_files
from pipelines.dedup.verification import similarities
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError
from schemas.storage import Folder

__all__ = ["exact_similarity", "measure_similarities", "texts_of"]

# Pairs whose texts are in memory at once: 20 MB of web pages of 5 kB.
_PAIRS_AT_ONCE = 2048
# Memory of one character while n-grams are numbered.
_CHARACTER_BYTES = 20


def texts_of(
    root: CorpusRoot, order: Sequence[PartitionKey], positions: NDArray[np.int64], ids: pa.ChunkedArray
) -> list[str]:
    """The texts of some documents, each named by the position of its partition and its id.

    Raises:
        ContractError: one is not there.
    """
    texts: dict[tuple[int, bytes], str] = {}
    for position in np.unique(positions).tolist():
        wanted = ids.filter(pa.array(positions == position)).combine_chunks().unique()
        for file in document_files(root, order[position]):
            with Folder(file.folder_url).open_read(file.name) as stream:
                parquet = pq.ParquetFile(stream)
                for group in range(parquet.num_row_groups):
                    here = parquet.read_row_group(group, columns=["document_id"])["document_id"]
                    met = pc.is_in(here, value_set=wanted)
                    if pc.any(met).as_py():
                        found = parquet.read_row_group(group, columns=["document_id", "text"]).filter(met)
                        for one, text in zip(found["document_id"].to_pylist(), found["text"].to_pylist(), strict=True):
                            texts[position, one] = text
    names = list(zip(positions.tolist(), ids.to_pylist(), strict=True))
    missing = [name for name in names if name not in texts]
    if missing:
        position, one = missing[0]
        raise ContractError(
            f"document {one.hex()} of {order[position]} is not there any more; run dedup over all partitions"
        )
    return [texts[name] for name in names]


def exact_similarity(ones: Sequence[str], others: Sequence[str], ngram: int, memory_bytes: int) -> NDArray[np.float64]:
    """The exact similarity of pairs of texts; 1 for equal ones, also where they are too short to have an n-gram."""
    texts = [*ones, *others]
    left = np.arange(len(ones))
    values = similarities(texts, left, left + len(ones), ngram, max(1, memory_bytes // _CHARACTER_BYTES))
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
        fates.similarity[batch] = exact_similarity(ones, others, config.ngram, config.memory_mib * 2**20)
