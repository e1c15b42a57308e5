"""What became of every item that went into a corpus, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.corpus_manifests import CorpusManifests

__all__ = ["Funnel", "Step", "read_funnel"]

# Reasons beyond these are added up, so that the plot stays readable.
_LARGEST = 12


@dataclass(frozen=True)
class Step:
    """One way in which items leave; `kind` is dead, dropped, duplicate or contaminated."""

    kind: str
    reason: str
    removed: int
    left: int


@dataclass(frozen=True)
class Funnel:
    """`items` go in; each step takes some away; `kept` come out."""

    items: int
    steps: tuple[Step, ...]
    deduplicated: bool

    @property
    def kept(self) -> int:
        """What is left after the last step."""
        return self.steps[-1].left if self.steps else self.items

    @property
    def documents(self) -> int:
        """What is left before duplicates are removed."""
        return self.kept + sum(step.removed for step in self.steps if step.kind in ("duplicate", "contaminated"))


def _largest_first(reasons: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    ordered = sorted(((name, count) for name, count in reasons.items() if count), key=lambda one: (-one[1], one[0]))
    yield from ordered[:_LARGEST]
    if rest := ordered[_LARGEST:]:
        yield f"{len(rest)} other reasons", sum(count for _, count in rest)


def read_funnel(manifests: CorpusManifests) -> Funnel | None:
    """The funnel of a corpus; None where nothing was cleaned yet. A row counts under the first rule that it broke."""
    if not manifests.of("clean"):
        return None
    removed = {kind: manifests.counts_under("clean", f"{kind}.") for kind in ("dead", "dropped")}
    if manifests.of("dedup"):
        names = {"exact copy": "exact_removed", "near copy": "near_removed"}
        removed["duplicate"] = {name: manifests.count("dedup", count) for name, count in names.items()}
    if manifests.of("decontaminate"):
        names = {"text of an evaluation set": "dropped_documents"}
        removed["contaminated"] = {name: manifests.count("decontaminate", count) for name, count in names.items()}
    items = left = manifests.count("clean", "items")
    steps = []
    for kind, reasons in removed.items():
        for reason, number in _largest_first(reasons):
            left -= number
            steps.append(Step(kind, reason, number, left))
    return Funnel(items, tuple(steps), "duplicate" in removed)
