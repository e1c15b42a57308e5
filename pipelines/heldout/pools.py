"""The pieces that were chosen from all documents, by split and kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pipelines.heldout.items import without
from pipelines.heldout.passages import PAIR_KINDS, Cut, continuations, last_words, pairs, phrases
from pipelines.heldout.selection import Piece, Selection, choose
from pipelines.kept_documents import KeptDocument
from schemas.configs.heldout import HeldoutConfig
from schemas.split import SPLITS, Split

__all__ = ["Pools"]

# Test pieces chosen for each one that is wanted: some turn out to be training pairs and go.
_SPARE = 4
# Training pieces of a kind that wrong answers are drawn from where test documents are too few.
_DISTRACTORS = 256
# Cuts of a document that are looked at for each one that is taken: a rank costs more than a cut.
_LOOKED_AT = 4
_KINDS = ("continuation", "last-word", "rewrite", *PAIR_KINDS)


def _spread(cuts: Sequence[Cut], most: int) -> Sequence[Cut]:
    """At most `most` cuts, evenly spread over the document."""
    if len(cuts) <= most:
        return cuts
    return [cuts[place * len(cuts) // most] for place in range(most)]


@dataclass
class Pools:
    """Bounded pools: memory follows the settings, not the corpus."""

    config: HeldoutConfig
    documents: Counter[Split] = field(default_factory=Counter)
    _chosen: dict[tuple[Split, str], Selection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = self.config
        wanted: dict[Split, int] = {
            "train": max(config.train_pairs, config.examples, _DISTRACTORS),
            "validation": _SPARE * config.validation_pairs,
            "test": _SPARE * max(config.items, config.test_pairs),
        }
        for split in SPLITS:
            for kind in _KINDS:
                self._chosen[split, kind] = Selection(wanted[split], config.seed, f"{split} {kind}")

    def add(self, document: KeptDocument) -> None:
        """Cut one document and offer what it gives, a bounded number of pieces of each kind."""
        self.documents[document.split] += 1
        limit = self.config.train_per_document if document.split == "train" else self.config.per_document
        by_kind: dict[str, list[Cut]] = {}
        for cut in self._cuts(document):
            by_kind.setdefault(cut.kind, []).append(cut)
        for kind, cuts in by_kind.items():
            pieces = [Piece(cut, document.group) for cut in _spread(cuts, _LOOKED_AT * limit)]
            self._chosen[document.split, kind].update(choose(pieces, limit, self.config.seed, "within the document"))

    def _cuts(self, document: KeptDocument) -> Iterable[Cut]:
        text, ends, answer_characters = document.text, document.sentence_ends, self.config.answer_characters
        yield from pairs(text, ends, document.title, answer_characters)
        if document.split != "validation":
            yield from continuations(text, ends, self.config.context_characters, answer_characters)
            yield from last_words(text, ends)
            yield from phrases(text)

    def pieces(self, split: Split, kinds: Sequence[str]) -> list[Piece]:
        """The chosen pieces of some kinds; those of other splits without what is also a training piece."""
        mine = [piece for kind in kinds for piece in self._chosen[split, kind].pieces()]
        return mine if split == "train" else without(mine, self.pieces("train", kinds))
