"""Finding a document by its id: in the sorted parts of each partition, never by reading them through."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from flows.trace.places import DocumentFacts
from flows.trace.sorted_parquet import SortedParquet
from schemas.catalog import manifest_of, manifest_table, units
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError
from schemas.storage import join_url

__all__ = ["document_facts", "find_documents", "parse_id", "sorted_table"]

_ID = re.compile(r"[0-9a-f]{32}")
_RECORD = ("record_file", "record_offset", "record_id", "captured_at")
_COLUMNS = ["document_id", "text", "url", "title", "language", "language_score", "scores", *_RECORD]
_KEPT = ["kept_id", "kept_source", "kept_partition", "similarity", "level"]
_CONTAMINATED = ["task", "item", "ngram", "start", "end", "action"]


def parse_id(text: str) -> bytes:
    """The id that a user gave.

    Raises:
        InputError: it is none.
    """
    if not _ID.fullmatch(text.lower()):
        raise InputError(f"{text!r} is no document id; expected 32 hexadecimal digits")
    return bytes.fromhex(text)


def sorted_table(root: CorpusRoot, table: str, key: PartitionKey, column: str) -> SortedParquet | None:
    """A committed table that its stage sorts by a column, file by file; None where none is committed."""
    manifest = manifest_of(root, table, key)
    record = manifest.tables.get(table) if manifest else None
    if record is None or not record.files:
        return None
    names = sorted(file.name for file in record.files if file.name.endswith(".parquet"))
    return SortedParquet(root.partition_folder(table, key), names, column) if names else None


def find_documents(
    root: CorpusRoot, document_id: bytes, source: str | None = None, partition: str | None = None
) -> Iterator[PartitionKey]:
    """The partitions that hold a document of this id, in partition order.

    Args:
        root: the corpus.
        document_id: 16 bytes.
        source: where given, only its partitions are looked at.
        partition: where given, only partitions of this name.
    """
    for key in units(root, manifest_table("documents")):
        if source not in (None, key.source) or partition not in (None, key.partition):
            continue
        table = sorted_table(root, "documents", key, "document_id")
        if table is not None and table.equal_to(document_id, ["document_id"]) is not None:
            yield key


def _rows(root: CorpusRoot, table: str, key: PartitionKey, column: str, value: bytes, names: list[str]) -> list[Any]:
    found = sorted_table(root, table, key, column)
    rows = found.equal_to(value, names) if found is not None else None
    return rows.to_pylist() if rows is not None else []


def _plain(row: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    values = {name: row[name] for name in names}
    return {name: one.hex() if isinstance(one, bytes) else one for name, one in values.items()}


def document_facts(root: CorpusRoot, key: PartitionKey, document_id: bytes) -> DocumentFacts:
    """Everything that the corpus knows of one document.

    Raises:
        InputError: it is not there.
        ContractError: a file is missing or damaged.
    """
    table = sorted_table(root, "documents", key, "document_id")
    place = table.group_at(document_id) if table is not None else None
    rows = table.equal_to(document_id, _COLUMNS) if table is not None else None
    if rows is None or table is None or place is None:
        raise InputError(f"no document {document_id.hex()} in {key} any more; run tokenize again")
    (row,) = rows.slice(0, 1).to_pylist()
    scores = {name: round(float(value), 6) for name, value in row["scores"] or []}
    if row["language_score"] is not None:
        scores["language_score"] = round(float(row["language_score"]), 6)
    record = {name: row[name] for name in _RECORD}
    if record["captured_at"] is not None:
        record["captured_at"] = record["captured_at"].isoformat()
    removed = _rows(root, "duplicates", key, "removed_id", document_id, _KEPT)
    contaminated = _rows(root, "contaminated", key, "document_id", document_id, _CONTAMINATED)
    return DocumentFacts(
        document_id=document_id.hex(),
        source=key.source,
        partition=key.partition,
        url=row["url"],
        title=row["title"],
        record=record,
        language=row["language"],
        characters=len(row["text"]),
        scores=dict(sorted(scores.items())),
        file=join_url("documents", key.source, key.partition, table.name_of(place)),
        removed_for=_plain(removed[0], _KEPT) if removed else None,
        contaminated=[_plain(one, _CONTAMINATED) for one in contaminated],
    )
