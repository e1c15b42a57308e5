"""What `run dedup` and `run decontaminate` would find done: a partition depends on all before it in partition order.

A partition that is made by the same backfill makes what comes after it stale before it is so by its digests; the
stages' own `pending` counts in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from flows.backfill.checks import Looks, to_be_made, without_documents
from flows.backfill.corpus_view import CorpusView
from flows.backfill.looks import Look, compare
from flows.backfill.requests import Asked
from pipelines.engine.unit import Unit
from schemas.corpus_root import PartitionKey
from schemas.errors import InputError
from schemas.manifest import Manifest

if TYPE_CHECKING:
    from pipelines.decontamination.units import DecontaminateUnits

__all__ = ["look_at_decontaminate", "look_at_dedup"]

_Remade = Mapping[PartitionKey, str]
_SetAside = frozenset[PartitionKey]


def _joined(units: Sequence[Look]) -> Look:
    """Several units of one stage as one: done where all are, missing where the last one, which decides, is."""
    manifests = tuple(manifest for unit in units for manifest in unit.manifests)
    undone = next((unit for unit in units if unit.state != "done"), None)
    if undone is None:
        return Look("done", units[-1].reason, manifests)
    if units[-1].state == "missing":
        return Look("missing", "", manifests)
    return Look("stale", undone.reason or "a part of it is missing", manifests)


class _Walk:
    """Partitions in order, with what makes all that come after one wait for it."""

    def __init__(
        self, view: CorpusView, keys: Sequence[PartitionKey], remade: _Remade, table: str, set_aside: _SetAside
    ) -> None:
        self.view, self.table, self.remade, self.set_aside = view, table, remade, set_aside
        self.there = set(view.partitions("documents"))
        coming = [key for key in remade if key not in self.there]
        self.order = view.in_partition_order([*self.there, *coming]) if coming else view.partitions("documents")
        self.wanted = set(keys)
        self.looks: Looks = {key: without_documents(key) for key in keys if key not in self.there and key not in remade}
        found = [position for position, key in enumerate(self.order) if key in self.wanted]
        self.last = found[-1] if found else -1
        self.waits = ""

    def decided(self, key: PartitionKey) -> Manifest | None:
        """The manifest of the decisions about a partition."""
        return self.view.known.manifest(self.table, key)

    def go(
        self, prepared: Callable[[int], Look], rest: Callable[[int], list[Look]], what: str, *, chained: bool
    ) -> None:
        """Look at all partitions up to the last one that is asked for.

        Args:
            prepared: the unit that all later partitions depend on, of a partition at a position.
            rest: the other units of a partition that is asked for.
            what: is done first for later partitions, where `prepared` is not done.
            chained: whether later partitions depend on the other units too.
        """
        for position, key in enumerate(self.order[: self.last + 1]):
            remade = self.remade.get(key, "")
            if remade or self.waits:
                if key in self.wanted:
                    self.looks[key] = to_be_made(self.decided(key), remade or self.waits)
                self.waits = self.waits or f"{key} comes before it and is done first"
                continue
            first = prepared(position)
            if key not in self.wanted:
                if first.state != "done":
                    self.waits = f"{what} of {key}, which comes before it, are made first"
                continue
            others = rest(position) if first.state == "done" else [to_be_made(self.decided(key), first.reason)]
            self.looks[key] = _joined([first, *others])
            undone = first.state != "done" or (chained and self.looks[key].state != "done")
            if undone and key not in self.set_aside:
                self.waits = f"{key} comes before it and is done first"


def look_at_dedup(
    asked: Asked, view: CorpusView, keys: Sequence[PartitionKey], remade: _Remade, set_aside: _SetAside = frozenset()
) -> Looks:
    """Decisions about repeats in these partitions."""
    from pipelines.dedup.stage import STAGE_VERSION
    from pipelines.dedup.units import DedupUnits

    config = asked.request("dedup", keys[0], view).config
    walk = _Walk(view, keys, remade, "duplicates", set_aside)
    units = DedupUnits(view, config, STAGE_VERSION, walk.order)
    done = Look("done")

    def prepared(position: int) -> Look:
        return compare(units.signatures(position)) if config.needs_signatures else done

    def rest(position: int) -> list[Look]:
        edges = compare(units.edges(position)) if config.near and not across else done
        if edges.state != "done":
            return [edges, to_be_made(walk.decided(walk.order[position]), edges.reason)]
        return [edges, compare(units.decisions(position))]

    across = config.scope == "corpus"
    if across:
        walk.waits = _first_undone_of_all(walk, units.edges if config.near else None, prepared)
    walk.go(prepared, rest, "signatures", chained=True)
    if across and not walk.waits:
        # Across partitions each is decided by the same edges, so that one which is stale makes no other one so.
        walk.looks |= {key: _joined(rest(position)) for position, key in enumerate(walk.order) if key in walk.wanted}
    return walk.looks


def _first_undone_of_all(walk: _Walk, edges: Callable[[int], Unit] | None, prepared: Callable[[int], Look]) -> str:
    """Where decisions depend on every partition: the first one of which something is to be made."""
    if walk.remade:
        return "documents of other partitions are made first, and decisions rank across all"
    for position, key in enumerate(walk.order):
        if prepared(position).state != "done":
            return f"signatures of {key} are made first, and decisions rank across all"
    for position, key in enumerate(walk.order):
        if edges is not None and compare(edges(position)).state != "done":
            return f"edges of {key} are made first, and decisions rank across all"
    return ""


def look_at_decontaminate(
    asked: Asked, view: CorpusView, keys: Sequence[PartitionKey], remade: _Remade, set_aside: _SetAside = frozenset()
) -> Looks:
    """Decisions about texts of evaluation sets in these partitions."""
    from pipelines.decontamination.evaluation_files import digests_of, find_files
    from pipelines.decontamination.stage import STAGE_VERSION
    from pipelines.decontamination.units import BENCHMARKS, DecontaminateUnits

    request = asked.request("decontaminate", keys[0], view)
    walk = _Walk(view, keys, remade, "contaminated", set_aside)
    units = DecontaminateUnits(view, request.config, STAGE_VERSION, walk.order)
    given = request.inputs or request.config.evaluations
    try:
        files = find_files(given) if given else []
        if not given and view.known.manifest(BENCHMARKS, units.collection) is None:
            raise InputError(f"no evaluation files were given, and none were read before as {request.config.name!r}")
        read = compare(units.items(digests_of(files))) if files else Look("done")
    except InputError as error:
        return {key: Look("blocked", str(error)) for key in keys}
    if read.state != "done":
        walk.waits = f"evaluation files are read first: {read.reason or 'they were not yet'}"
    elif compare(units.ngrams()).state != "done":
        walk.waits = "what is looked for is made first"

    def rest(position: int) -> list[Look]:
        return [compare(units.decisions(position))]

    walk.go(lambda position: compare(units.overlaps(position)), rest, "overlaps", chained=False)
    if walk.last >= 0 and all(look.state == "done" for look in walk.looks.values()):
        _look_at_lists(walk, units)
    return walk.looks


def _look_at_lists(walk: _Walk, units: DecontaminateUnits) -> None:
    lists = compare(units.lists())
    if lists.state != "done":
        key = walk.order[walk.last]
        walk.looks[key] = Look(
            "stale", "the lists of clean and dirty items are to be written", walk.looks[key].manifests
        )
