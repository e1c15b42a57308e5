"""Single documents of a corpus, looked up by their ids."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.dedup.signed_files import document_files, read_documents, read_some_texts
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError

__all__ = ["NamedDocuments", "find_documents", "texts_of", "texts_within"]


def find_documents(root: CorpusRoot, key: PartitionKey, ids: pa.Array, columns: Sequence[str]) -> Iterator[pa.Table]:
    """`document_id` and some columns of the documents of a partition that have one of these ids."""
    for file in document_files(root, key):
        yield from read_documents(file, ids, ["document_id", *columns])


class NamedDocuments(NamedTuple):
    """Documents, each named by the position of its partition and its id; columns of the same length."""

    positions: NDArray[np.int64]
    ids: pa.ChunkedArray

    def take(self, rows: NDArray[np.int64]) -> NamedDocuments:
        """Some of them."""
        return NamedDocuments(self.positions[rows], self.ids.take(pa.array(rows)))


def texts_of(root: CorpusRoot, order: Sequence[PartitionKey], named: NamedDocuments) -> list[str]:
    """The texts of some documents.

    Raises:
        ContractError: one is not there.
    """
    texts = texts_within(root, order, named, sys.maxsize)
    assert texts is not None
    return texts


def texts_within(
    root: CorpusRoot, order: Sequence[PartitionKey], named: NamedDocuments, most_bytes: int
) -> list[str] | None:
    """The texts of some documents; None where they turn out to have more than `most_bytes` in all.

    Raises:
        ContractError: one is not there.
    """
    texts: dict[tuple[int, bytes], str] = {}
    size = 0
    for position in np.unique(named.positions).tolist():
        wanted = named.ids.filter(pa.array(named.positions == position)).combine_chunks().unique()
        for found in (rows for file in document_files(root, order[position]) for rows in read_some_texts(file, wanted)):
            size += found["text"].nbytes
            if size > most_bytes:
                return None
            rows: dict[str, list[Any]] = found.to_pydict()
            texts.update(((position, one), text) for one, text in zip(rows["document_id"], rows["text"], strict=True))
    names = list(zip(named.positions.tolist(), named.ids.to_pylist(), strict=True))
    for position, one in names:
        if (position, one) not in texts:
            raise ContractError(
                f"document {one.hex()} of {order[position]} is not there any more; run dedup over all partitions"
            )
    return [texts[name] for name in names]
