"""Single documents of a corpus, looked up by their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.dedup.signed_files import document_files, read_documents
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError

__all__ = ["find_documents", "texts_of"]


def find_documents(root: CorpusRoot, key: PartitionKey, ids: pa.Array, columns: Sequence[str]) -> Iterator[pa.Table]:
    """`document_id` and some columns of the documents of a partition that have one of these ids."""
    for file in document_files(root, key):
        yield from read_documents(file, ids, ["document_id", *columns])


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
        for found in find_documents(root, order[position], wanted, ["text"]):
            rows: dict[str, list[Any]] = found.to_pydict()
            texts.update(((position, one), text) for one, text in zip(rows["document_id"], rows["text"], strict=True))
    names = list(zip(positions.tolist(), ids.to_pylist(), strict=True))
    for position, one in names:
        if (position, one) not in texts:
            raise ContractError(
                f"document {one.hex()} of {order[position]} is not there any more; run dedup over all partitions"
            )
    return [texts[name] for name in names]
