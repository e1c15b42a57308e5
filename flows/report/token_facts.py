"""How many tokens there are, and what the tokenizer is like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.corpus_manifests import CorpusManifests
from schemas.manifest import Manifest
from schemas.split import SPLITS, Split

__all__ = ["TokenFacts", "TokenizerFacts", "read_token_facts", "read_tokenizers"]

_TABLE = "tokens/"


@dataclass(frozen=True)
class TokenizerFacts:
    """One frozen tokenizer; `fertility` has a row a source."""

    name: str
    counts: Mapping[str, int]
    fertility: tuple[dict[str, Any], ...]
    longest: tuple[str, ...]


@dataclass(frozen=True)
class TokenFacts:
    """The shards of one tokenizer: tokens and documents by source and split."""

    tokenizer: str
    tokens: dict[str, dict[Split, int]]
    documents: dict[str, dict[Split, int]]
    encoders: dict[str, dict[str, str]] = field(default_factory=dict)  # what served, and why faster ones did not

    @property
    def total(self) -> int:
        """Tokens in all sources and splits."""
        return sum(sum(by_split.values()) for by_split in self.tokens.values())


def read_tokenizers(manifests: CorpusManifests) -> tuple[TokenizerFacts, ...]:
    """All tokenizers of the corpus, by name."""
    return tuple(
        TokenizerFacts(
            name=unit.source,
            counts=unit.counts,
            fertility=tuple(unit.notes.get("fertility", ())),
            longest=tuple(unit.notes.get("longest_tokens", ())),
        )
        for unit in sorted(manifests.of("tokenizer"), key=lambda unit: unit.source)
    )


def _tokenizer(unit: Manifest) -> str:
    return next(table.split("/")[1] for table in unit.tables if table.startswith(_TABLE))


def read_token_facts(manifests: CorpusManifests) -> tuple[TokenFacts, ...]:
    """Documents and tokens by source and split, for each tokenizer that has shards."""
    found: dict[str, TokenFacts] = {}
    for unit in manifests.of("tokenize"):
        name = _tokenizer(unit)
        facts = found.setdefault(name, TokenFacts(name, {}, {}))
        if "encoder" in unit.notes:
            facts.encoders.setdefault(unit.notes["encoder"], {}).update(unit.notes["encoders_refused"])
        for what, sums in (("tokens", facts.tokens), ("documents", facts.documents)):
            by_split = sums.setdefault(unit.source, dict.fromkeys(SPLITS, 0))
            for split in SPLITS:
                by_split[split] += unit.counts[f"{what}_{split}"]
    return tuple(found[name] for name in sorted(found))
