"""The documents that deduplication kept, without what decontamination cuts, with the split that each belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipelines.decontamination.applied import cut_record, read_cuts
from schemas.catalog import iterate_table, manifest_of, read_table, require_manifest
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import InputRecord
from schemas.split import Split, split_of

__all__ = ["KeptDocument", "input_records", "kept_documents"]


class KeptDocument(NamedTuple):
    """What is cut into tasks and pairs; `sentence_ends` are offsets in the text, exclusive."""

    split: Split
    group: str  # content hash, in hexadecimal
    text: str
    title: str | None
    language: str | None
    sentence_ends: tuple[int, ...]


def input_records(root: CorpusRoot, keys: list[PartitionKey]) -> tuple[InputRecord, ...]:
    """The tables that `kept_documents` reads, with their digests."""
    records = []
    for key in keys:
        documents = require_manifest(root, "documents", key).tables["documents"]
        records.append(InputRecord(name=f"documents/{key}", digest=documents.digest))
        decided = manifest_of(root, "duplicates", key)
        if decided is not None:
            records.append(InputRecord(name=f"duplicates/{key}", digest=decided.tables["duplicates"].digest))
        cut = cut_record(root, key)
        if cut is not None:
            records.append(cut)
    return tuple(records)


def kept_documents(
    root: CorpusRoot, key: PartitionKey, test_share: float, validation_share: float
) -> Iterator[KeptDocument]:
    """The documents of one partition without those that `duplicates/` removes, one file in memory at a time.

    A document that `contaminated/` cuts gives one for each piece that stays.
    """
    cuts = read_cuts(root, key)
    removed = set(read_table(root, "duplicates", key, ["removed_id"]).column("removed_id").to_pylist())
    columns = ["document_id", "content_hash", "text", "title", "language", "sentence_ends"]
    for table in iterate_table(root, "documents", key, columns):
        for batch in table.to_batches(max_chunksize=256):
            for row in batch.to_pylist():
                if row["document_id"] not in removed:
                    content = row["content_hash"]
                    split = split_of(content, test_share, validation_share)
                    for start, end in cuts.pieces(row["document_id"], len(row["text"])):
                        text = row["text"][start:end]
                        ends = tuple(one - start for one in row["sentence_ends"] or () if start < one <= end)
                        yield KeptDocument(split, content.hex(), text, row["title"], row["language"], ends)
