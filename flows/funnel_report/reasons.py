"""How many documents, characters and tokens each reason took from a partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from flows.funnel_report.row_groups import RowGroup, text_lengths, walk_rows
from schemas.catalog import manifest_of, read_table
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError
from schemas.manifest import Manifest

__all__ = ["KINDS", "Losses", "Reason", "add_losses", "read_losses"]

# The order in which items leave.
KINDS = ("dead", "dropped", "duplicate")
_CHARACTERS = "characters"
_LEVELS = {"url": "same address", "exact": "exact copy", "near": "near copy"}


@dataclass(frozen=True)
class Reason:
    """What one reason took away; a row counts under the first rule that it broke.

    Attributes:
        kind: one of `KINDS`.
        name: rule, error, or level of duplication.
        documents: rows.
        measured: how many of them had a text whose length is known.
        characters: of those.
    """

    kind: str
    name: str
    documents: int
    measured: int
    characters: int


@dataclass(frozen=True)
class Losses:
    """What went into a partition or a source, what was taken away, and what is left.

    Attributes:
        items: as the census counted them.
        reasons: in the order in which items leave, the largest of a kind first.
        documents: left by the rules.
        characters: of those.
        kept: left by deduplication too; equal to `documents` where it has not run.
        kept_characters: of those.
        deduplicated: whether deduplication has run.
        tokens: of what is left, where it was tokenized (everywhere, for a source).
    """

    items: int
    reasons: tuple[Reason, ...]
    documents: int
    characters: int
    kept: int
    kept_characters: int
    deduplicated: bool
    tokens: int | None

    def tokens_of(self, characters: int) -> int | None:
        """Tokens that so many characters would give at the rate of what is left; None where nothing was tokenized."""
        if self.tokens is None or not self.kept_characters:
            return None
        return round(characters * self.tokens / self.kept_characters)


class _Tally:
    """Sums by reason."""

    def __init__(self) -> None:
        self.documents: Counter[tuple[str, str]] = Counter()
        self.measured: Counter[tuple[str, str]] = Counter()
        self.characters: Counter[tuple[str, str]] = Counter()

    def add(self, kind: str, name: str, documents: int, measured: int, characters: int) -> None:
        self.documents[kind, name] += documents
        self.measured[kind, name] += measured
        self.characters[kind, name] += characters

    def reasons(self) -> tuple[Reason, ...]:
        order = sorted(self.documents, key=lambda one: (KINDS.index(one[0]), -self.documents[one], one[1]))
        return tuple(
            Reason(*one, self.documents[one], self.measured[one], self.characters[one])
            for one in order
            if self.documents[one]
        )


def _lengths(group: RowGroup) -> np.ndarray:
    """Characters of each row's text; -1 where they were not measured."""
    lengths = np.full(len(group.rows), -1, dtype=np.int64)
    rows, values = group.scores.get(_CHARACTERS, (np.empty(0, np.int64), np.empty(0, np.float32)))
    lengths[rows] = values.astype(np.int64)
    return lengths


def _document_lengths(root: CorpusRoot, key: PartitionKey) -> Iterable[tuple[RowGroup, np.ndarray]]:
    for group in walk_rows(root, "documents", key):
        lengths = _lengths(group)
        if (lengths < 0).any():  # cleaned before lengths were stored
            lengths = text_lengths(root, group.place)
        yield group, lengths


def _check(manifest: Manifest, tally: _Tally) -> None:
    for kind in ("dead", "dropped"):
        stated = {name: count for name, count in manifest.counts.items() if name.startswith(f"{kind}.") and count}
        read = {f"{kind}.{name}": count for (one, name), count in tally.documents.items() if one == kind}
        if stated != read:
            where = f"{kind} rows of {manifest.source}/{manifest.partition}"
            raise ContractError(
                f"{where} do not add up to their manifest: it says {stated}, there are {read}; clean it again"
            )


def _tokens(root: CorpusRoot, key: PartitionKey, tokenizer: str | None) -> int | None:
    manifest = manifest_of(root, f"tokens/{tokenizer}/train", key) if tokenizer else None
    if manifest is None:
        return None
    return sum(count for name, count in manifest.counts.items() if name.startswith("tokens_"))


def read_losses(root: CorpusRoot, key: PartitionKey, tokenizer: str | None) -> Losses:
    """The losses of one cleaned partition.

    Raises:
        ContractError: its rows do not add up to its manifest, or a file is missing or damaged.
    """
    manifest = manifest_of(root, "documents", key)
    assert manifest is not None
    tally = _Tally()
    errors = Counter(read_table(root, "dead", key, ["error"]).column("error").to_pylist())
    for error, count in errors.items():
        tally.add("dead", error, count, 0, 0)
    for group in walk_rows(root, "dropped", key):
        for rule, length in zip(group.first_failed, _lengths(group).tolist(), strict=True):
            tally.add("dropped", rule, 1, int(length >= 0), max(length, 0))
    _check(manifest, tally)
    removed = read_table(root, "duplicates", key, ["removed_id", "level"])
    levels = removed.column("level").to_pylist()
    documents = characters = gone = gone_characters = 0
    for group, lengths in _document_lengths(root, key):
        documents += len(lengths)
        characters += int(lengths.sum())
        found = pc.index_in(group.rows.column("document_id"), value_set=removed.column("removed_id").combine_chunks())
        for place, length in zip(found.to_pylist(), lengths.tolist(), strict=True):
            if place is not None:
                tally.add("duplicate", _LEVELS[levels[place]], 1, 1, length)
                gone, gone_characters = gone + 1, gone_characters + length
    return Losses(
        items=manifest.counts["items"],
        reasons=tally.reasons(),
        documents=documents,
        characters=characters,
        kept=documents - gone,
        kept_characters=characters - gone_characters,
        deduplicated=manifest_of(root, "duplicates", key) is not None,
        tokens=_tokens(root, key, tokenizer),
    )


def add_losses(parts: list[Losses]) -> Losses:
    """The losses of several partitions together."""
    tally = _Tally()
    for part in parts:
        for one in part.reasons:
            tally.add(one.kind, one.name, one.documents, one.measured, one.characters)
    tokens = [part.tokens for part in parts]
    return Losses(
        items=sum(part.items for part in parts),
        reasons=tally.reasons(),
        documents=sum(part.documents for part in parts),
        characters=sum(part.characters for part in parts),
        kept=sum(part.kept for part in parts),
        kept_characters=sum(part.kept_characters for part in parts),
        deduplicated=any(part.deduplicated for part in parts),
        tokens=None if None in tokens or not tokens else sum(one for one in tokens if one is not None),
    )
