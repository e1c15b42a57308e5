"""What the three traces tell, as plain values: JSON objects, and what the readable pages are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["DocumentFacts", "PieceFacts", "RunUses", "WindowFacts"]


@dataclass(frozen=True)
class DocumentFacts:
    """A document: where it came from, every score it got, and what was decided about it.

    Attributes:
        document_id: 32 hexadecimal digits.
        source: of the corpus.
        partition: of the source.
        url: as the record states it.
        title: of the page.
        record: `record_file`, `record_offset`, `record_id`, `captured_at`: the raw record.
        language: ISO 639-1, with `language_score` among the scores.
        characters: code points of its text.
        scores: measured values by rule.
        file: of `documents/`, relative to the corpus.
        removed_for: the document that deduplication kept in its place; None where it stays.
        contaminated: n-grams of evaluation sets in it, with the action.
    """

    document_id: str
    source: str
    partition: str
    url: str | None
    title: str | None
    record: dict[str, Any]
    language: str | None
    characters: int
    scores: dict[str, float]
    file: str
    removed_for: dict[str, Any] | None
    contaminated: list[dict[str, Any]]


@dataclass(frozen=True)
class PieceFacts:
    """Where the tokens of a piece of a document lie: a span of a stream, and of the shards that it runs through."""

    table: str
    piece: int
    start: int
    tokens: int
    shards: list[dict[str, Any]]


@dataclass(frozen=True)
class RunUses:
    """The steps of one run in which a document stands, `done` of them by now; or why they are not known any more."""

    run: str
    mixture: str
    steps: list[int]
    done: int
    unknown: str | None = None


@dataclass(frozen=True)
class WindowFacts:
    """One sample of a batch: a window of a source, and the pieces of documents in it with their tokens there."""

    sample: int
    source: str
    window: int
    documents: list[dict[str, Any]]
