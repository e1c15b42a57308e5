"""Where the signatures of a partition lie, and the texts that they are of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.engine.parquet_pages import values_in_pages
from pipelines.engine.staging import part_name
from schemas.catalog import require_manifest
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError
from schemas.storage import Folder

__all__ = [
    "DocumentFile",
    "SignedFile",
    "document_files",
    "read_documents",
    "read_some_texts",
    "read_texts",
    "signed_files",
]


# Where fewer than one document in so many is wanted, pages of texts are read and not all of them: 13 of 2,500 texts of
# 3 kB take 2 ms in place of 18, one in four of them about as long either way.
_FEW = 4


@dataclass(frozen=True)
class DocumentFile:
    """One file of documents; `number` is its place in the list of its manifest."""

    number: int
    folder_url: str
    name: str


@dataclass(frozen=True)
class SignedFile:
    """One file of signatures and the file of the documents that they are of.

    Attributes:
        number: its place among all files of one job.
        order: the position of its partition in partition order.
        key: its partition.
        folder_url: the folder of the signatures.
        name: the name of the file there.
        documents: the file with the texts.
        rows: how many signatures it holds.
        bands_url: the folder where band keys of these signatures lie, in a file of the same name; empty where none do.
    """

    number: int
    order: int
    key: PartitionKey
    folder_url: str
    name: str
    documents: DocumentFile
    rows: int = 0
    bands_url: str = ""


def document_files(root: CorpusRoot, key: PartitionKey) -> list[DocumentFile]:
    """The committed document files of a partition; a file's signatures lie in the part of the same number."""
    files = require_manifest(root, "documents", key).tables["documents"].files
    url = root.partition_folder("documents", key).url
    return [DocumentFile(number, url, file.name) for number, file in enumerate(files)]


def signed_files(root: CorpusRoot, keys: Sequence[PartitionKey]) -> list[SignedFile]:
    """The committed signature files of partitions, given in partition order from the first."""
    files: list[SignedFile] = []
    for order, key in enumerate(keys):
        documents = {part_name(file.number): file for file in document_files(root, key)}
        url = root.partition_folder("signatures", key).url
        for file in require_manifest(root, "signatures", key).tables["signatures"].files:
            files.append(SignedFile(len(files), order, key, url, file.name, documents[file.name], file.rows))
    return files


def read_documents(file: DocumentFile, ids: pa.Array, columns: list[str]) -> Iterator[pa.Table]:
    """Some columns of some documents of a file; only row groups that hold one of them are decoded."""
    with Folder(file.folder_url).open_read(file.name) as stream:
        parquet = pq.ParquetFile(stream)
        for group in range(parquet.num_row_groups):
            met = pc.is_in(parquet.read_row_group(group, columns=["document_id"])["document_id"], value_set=ids)
            if pc.any(met).as_py():
                yield parquet.read_row_group(group, columns=columns).filter(met)


def _texts_of_group(parquet: pq.ParquetFile, stream: pa.NativeFile, group: int, ids: pa.Array) -> pa.Table:
    """`document_id` and `text` of the documents of a row group that have one of these ids."""
    there = parquet.read_row_group(group, columns=["document_id"], use_threads=False)
    rows = np.flatnonzero(pc.is_in(there["document_id"], value_set=ids).to_numpy())
    found = None
    if len(rows) * _FEW < there.num_rows:
        found = values_in_pages(parquet, stream, group, "text", rows)
    if found is not None:
        texts = pa.array(found, pa.binary()).cast(pa.string())
        return there.take(pa.array(rows)).append_column(parquet.schema_arrow.field("text"), texts)
    whole = parquet.read_row_group(group, columns=["document_id", "text"], use_threads=False)
    return whole.take(pa.array(rows))


def read_some_texts(file: DocumentFile, ids: pa.Array) -> Iterator[pa.Table]:
    """`document_id` and `text` of the documents of a file that have one of these ids, one row group at a time."""
    with Folder(file.folder_url).open_arrow(file.name) as stream:
        parquet = pq.ParquetFile(stream)
        for group in range(parquet.num_row_groups):
            rows = _texts_of_group(parquet, stream, group, ids)
            if rows.num_rows:
                yield rows


def read_texts(file: DocumentFile, ids: pa.Array) -> Iterator[pa.Table]:
    """`document_id` and `text` of some documents of a file, one row group at a time.

    Args:
        file: where they lie.
        ids: distinct.

    Raises:
        ContractError: the file does not hold all of them.
    """
    found = 0
    for rows in read_some_texts(file, ids):
        found += rows.num_rows
        yield rows
    if found != len(ids):
        raise ContractError(
            f"{file.folder_url}/{file.name} holds {found} of {len(ids)} documents that signatures name; "
            "it changed while deduplication ran: run dedup again"
        )
