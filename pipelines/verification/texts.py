"""The texts behind a stream: every document of it is decoded and compared with `documents/`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np

from pipelines.decontamination.applied import read_cuts
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


def _wrong_document(rows: list[Row], stream: StreamTokens, expected: list[bytes], encoder: TextEncoder) -> str | None:
    """What is wrong with a document whose pieces are `rows` and should have these texts."""
    if len(rows) != len(expected):
        return f"it has {len(rows)} pieces here, and decisions about it leave {len(expected)}"
    for number, (row, text) in enumerate(zip(rows, expected, strict=True)):
        if row["piece"] != number:
            return f"piece {row['piece']} where {number} should be"
        data, wrong = _wrong_piece(row, stream.read(row["start"], row["length"]), encoder)
        if wrong is not None:
            return wrong
        if data != text:
            return "other text than documents/ has"
    return None


def _documents(place: StreamPlace) -> Iterator[tuple[bytes, bytes, str]]:
    """Id, content hash and text of all documents of the partition, by id."""
    for part in iterate_table(place.root, "documents", place.key, ["document_id", "content_hash", "text"]):
        for batch in part.to_batches(max_chunksize=256):
            yield from zip(*(batch.column(n).to_pylist() for n in range(3)), strict=True)


class _Expected:
    """The texts of a stream, as documents and decisions have them."""

    def __init__(self, place: StreamPlace, shares: tuple[float, float]) -> None:
        self._split, self._shares = place.split, shares
        self._cuts = read_cuts(place.root, place.key)
        removed = read_table(place.root, "duplicates", place.key, ["removed_id"]).column("removed_id")
        self._removed = frozenset(removed.to_pylist())

    def pieces(self, identity: bytes, content: bytes, text: str) -> list[bytes]:
        """The pieces of a document; none where it is not in the stream."""
        if identity in self._removed or split_of(content, *self._shares) != self._split:
            return []
        return [text[start:end].encode("utf-8") for start, end in self._cuts.pieces(identity, len(text))]


def compare_texts(place: StreamPlace, stream: StreamTokens, shares: tuple[float, float], findings: Findings) -> None:
    """Decode all documents of a stream.

    Args:
        place: of the stream.
        stream: its tokens and index.
        shares: of test and validation documents, as the stream was made.
        findings: where problems go, and how many documents were decoded.
    """
    where, encoder = f"{place.folder.url}/{INDEX_NAME}", place.tokenizer.encoder()
    expected = _Expected(place, shares)
    rows = (row for batch in stream.index.select(_COLUMNS).to_batches(max_chunksize=1024) for row in batch.to_pylist())
    pieces = groupby(rows, key=lambda row: row["document_id"])
    coming = next(pieces, None)
    for identity, content, text in _documents(place):
        texts = expected.pieces(identity, content, text)
        if coming is None or coming[0] != identity:
            if texts:
                findings.add(where, f"document {identity.hex()} is in documents/ and not here")
            continue
        wrong = _wrong_document(list(coming[1]), stream, texts, encoder)
        if wrong is not None:
            findings.add(where, f"document {identity.hex()}: {wrong}")
        findings.checked["documents decoded"] += 1
        coming = next(pieces, None)
    if coming is not None:
        findings.add(where, f"document {coming[0].hex()} is not in documents/")
