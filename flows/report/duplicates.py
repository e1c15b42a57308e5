"""Repeated documents: how many of which size, and one pair to look at."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.catalog import iterate_table, units
from schemas.corpus_root import CorpusRoot, PartitionKey

__all__ = ["Duplicates", "ExamplePair", "Passage", "read_duplicates"]

# Characters of a text that is shown, and how far before the first difference it begins.
_SHOWN = 900
_BEFORE = 200
_PIECE = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True)
class Passage:
    """A stretch of text that both documents have, or one of them alone."""

    text: str
    shared: bool


@dataclass(frozen=True)
class ExamplePair:
    """A removed document and the one that was kept in its place."""

    similarity: float
    level: str
    removed: dict[str, Any]
    kept: dict[str, Any]
    removed_text: tuple[Passage, ...]
    kept_text: tuple[Passage, ...]


@dataclass(frozen=True)
class Duplicates:
    """`sizes` counts clusters by their number of documents, the kept one included."""

    exact: int
    near: int
    by_url: int
    sizes: dict[int, int]
    similarities: tuple[float, ...]
    example: ExamplePair | None


def _passages(text: str, other: str) -> tuple[Passage, ...]:
    """`text` around its first difference from `other`; what `other` does not have there is marked word by word."""
    shared = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    start = max(0, shared - _BEFORE)
    # More of the other text than is shown of this one, so that its end finds its like.
    mine, theirs = _PIECE.findall(text[start : start + _SHOWN]), _PIECE.findall(other[start : start + 2 * _SHOWN])
    matcher = difflib.SequenceMatcher(a=theirs, b=mine, autojunk=False)
    passages = [
        Passage("".join(mine[begin:end]), shared=operation == "equal")
        for operation, _, _, begin, end in matcher.get_opcodes()
        if begin < end
    ]
    before = [Passage("… ", shared=True)] if start else []
    after = [Passage(" …", shared=True)] if len(text) > start + _SHOWN else []
    return (*before, *passages, *after)


def _document(root: CorpusRoot, source: str, partition: str, document_id: bytes) -> dict[str, Any] | None:
    key = PartitionKey(source, partition)
    columns = ["document_id", "text", "url", "title"]
    for rows in iterate_table(root, "documents", key, columns):
        found = rows.filter(pc.equal(rows["document_id"], pa.scalar(document_id, rows["document_id"].type)))
        if found.num_rows:
            row: dict[str, Any] = found.to_pylist()[0]
            return row | {"source": source, "partition": partition, "document_id": document_id.hex()}
    return None


def _interest(row: dict[str, Any]) -> tuple[float, bytes]:
    """A near copy in the middle of what is called near shows most; exact ones show least."""
    return (abs(row["similarity"] - 0.9) if row["level"] == "near" else 1.0), row["removed_id"]


def _example(root: CorpusRoot, row: dict[str, Any] | None) -> ExamplePair | None:
    if row is None:
        return None
    removed = _document(root, row["removed_source"], row["removed_partition"], row["removed_id"])
    kept = _document(root, row["kept_source"], row["kept_partition"], row["kept_id"])
    if removed is None or kept is None:
        return None
    return ExamplePair(
        similarity=row["similarity"],
        level=row["level"],
        removed=removed,
        kept=kept,
        removed_text=_passages(removed["text"], kept["text"]),
        kept_text=_passages(kept["text"], removed["text"]),
    )


def read_duplicates(root: CorpusRoot) -> Duplicates | None:
    """What deduplication found; None where it was not run."""
    keys = units(root, "duplicates")
    if not keys:
        return None
    levels: Counter[str] = Counter()
    copies: Counter[tuple[str, str, bytes]] = Counter()
    similarities: list[float] = []
    best: dict[str, Any] | None = None
    for key in keys:
        for rows in iterate_table(root, "duplicates", key):
            for row in rows.to_pylist():
                levels[row["level"]] += 1
                copies[row["kept_source"], row["kept_partition"], row["kept_id"]] += 1
                if row["level"] == "near":
                    similarities.append(row["similarity"])
                if best is None or _interest(row) < _interest(best):
                    best = row
    sizes = Counter(number + 1 for number in copies.values())
    return Duplicates(
        exact=levels["exact"],
        near=levels["near"],
        by_url=levels["url"],
        sizes=dict(sorted(sizes.items())),
        similarities=tuple(similarities),
        example=_example(root, best),
    )
