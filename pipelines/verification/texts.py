"""The texts behind a stream: every document of it is decoded and compared with `documents/`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np

from pipelines.tokens.encoding import TextEncoder
from pipelines.verification.findings import Findings
from pipelines.verification.streams import StreamPlace, StreamTokens
from schemas.catalog import iterate_table, read_table
from schemas.split import split_of
from schemas.token_shard import INDEX_NAME

__all__ = ["compare_texts"]

Row = dict[str, Any]
_COLUMNS = ["document_id", "piece", "start", "length", "characters", "utf8_bytes"]


def _wrong_piece(row: Row, tokens: Any, encoder: TextEncoder) -> tuple[bytes, str | None]:
    """The bytes of a piece, and what is wrong with its tokens."""
    ends = np.flatnonzero(tokens == encoder.end_of_text)
    if len(ends) != 1 or ends[0] != len(tokens) - 1:
        return b"", f"{len(ends)} end-of-text ids, one is to be the last of its tokens"
    if int(tokens.max()) >= encoder.vocabulary_size:
        return b"", f"id {tokens.max()}, the vocabulary has {encoder.vocabulary_size}"
    data = encoder.decode(tokens[:-1])
    if len(data) != row["utf8_bytes"] or len(data.decode("utf-8", errors="replace")) != row["characters"]:
        return data, f"{len(data)} bytes, its row says {row['utf8_bytes']} of {row['characters']} characters"
    return data, None


def _wrong_document(rows: list[Row], stream: StreamTokens, text: bytes, cut: bool, encoder: TextEncoder) -> str | None:
    """What is wrong with a document whose pieces are `rows`; pieces of a document that was cut leave text between."""
    at = 0
    for number, row in enumerate(rows):
        if row["piece"] != number:
            return f"piece {row['piece']} where {number} should be"
        data, wrong = _wrong_piece(row, stream.read(row["start"], row["length"]), encoder)
        if wrong is not None:
            return wrong
        place = text.find(data, at)
        if place < 0 or (place > at and not cut):
            return "other text than documents/ has"
        at = place + len(data)
    return "less text than documents/ has" if at < len(text) and not cut else None


def _documents(place: StreamPlace) -> Iterator[tuple[bytes, bytes, str]]:
    """Id, content hash and text of all documents of the partition, by id."""
    for part in iterate_table(place.root, "documents", place.key, ["document_id", "content_hash", "text"]):
        for batch in part.to_batches(max_chunksize=256):
            yield from zip(*(batch.column(n).to_pylist() for n in range(3)), strict=True)


def _cut(place: StreamPlace) -> tuple[set[bytes], set[bytes]]:
    """Ids of documents that decontamination cut, and of those that deduplication or it removed."""
    removed = set(read_table(place.root, "duplicates", place.key, ["removed_id"]).column("removed_id").to_pylist())
    rows = read_table(place.root, "contaminated", place.key, ["document_id", "action"]).to_pylist()
    cut = {row["document_id"] for row in rows if row["action"] == "cut"}
    return cut, removed | {row["document_id"] for row in rows if row["action"] == "drop"}


def compare_texts(place: StreamPlace, stream: StreamTokens, shares: tuple[float, float], findings: Findings) -> None:
    """Decode all documents of a stream.

    Args:
        place: of the stream.
        stream: its tokens and index.
        shares: of test and validation documents, as the stream was made.
        findings: where problems go, and how many documents were decoded.
    """
    where, encoder = f"{place.folder.url}/{INDEX_NAME}", place.tokenizer.encoder()
    cut, removed = _cut(place)
    rows = (row for batch in stream.index.select(_COLUMNS).to_batches(max_chunksize=1024) for row in batch.to_pylist())
    pieces = groupby(rows, key=lambda row: row["document_id"])
    coming = next(pieces, None)
    for identity, content, text in _documents(place):
        if coming is None or coming[0] != identity:
            missing = split_of(content, *shares) == place.split and identity not in removed | cut
            if missing:
                findings.add(where, f"document {identity.hex()} is in documents/ and not here")
            continue
        wrong = _wrong_document(list(coming[1]), stream, text.encode("utf-8"), identity in cut, encoder)
        if wrong is not None:
            findings.add(where, f"document {identity.hex()}: {wrong}")
        findings.checked["documents decoded"] += 1
        coming = next(pieces, None)
    if coming is not None:
        findings.add(where, f"document {coming[0].hex()} is not in documents/")
