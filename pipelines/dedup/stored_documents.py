"""Single documents of a corpus, looked up by their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.dedup.signed_files import document_files
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError
from schemas.storage import Folder

__all__ = ["find_documents", "texts_of"]


def find_documents(root: CorpusRoot, key: PartitionKey, ids: pa.Array, columns: Sequence[str]) -> Iterator[pa.Table]:
    """`document_id` and some columns of the documents of a partition that have one of these ids.

    Only row groups that hold one of them are decoded; a partition without documents gives nothing.
    """
    for file in document_files(root, key):
        with Folder(file.folder_url).open_read(file.name) as stream:
            parquet = pq.ParquetFile(stream)
            for group in range(parquet.num_row_groups):
                met = pc.is_in(parquet.read_row_group(group, columns=["document_id"])["document_id"], value_set=ids)
                if pc.any(met).as_py():
                    yield parquet.read_row_group(group, columns=["document_id", *columns]).filter(met)


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
