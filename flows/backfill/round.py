"""Which units of a plan may begin now: each after those that it needs."""

from __future__ import annotations

from collections.abc import Iterable

from flows.backfill.estimate import ORDERED
from flows.backfill.plan import Plan, UnitName
from schemas.corpus_root import PartitionKey

__all__ = ["Round"]


class _Open:
    """Places of units of one stage that are not settled, of which the first is asked for all the time."""

    def __init__(self, places: Iterable[int]) -> None:
        self._places = sorted(places)
        self._open = set(self._places)
        self._next = 0

    def close(self, place: int) -> None:
        """A unit is settled."""
        self._open.discard(place)

    def first(self) -> int | None:
        """The first place that is open."""
        while self._next < len(self._places) and self._places[self._next] not in self._open:
            self._next += 1
        return self._places[self._next] if self._next < len(self._places) else None


class Round:
    """The units that one plan names, until each is settled: done, failed, or without what it needs.

    Deduplication and decontamination go in partition order, whatever else is asked for: a partition that is decided
    before one that comes first would have to be decided again.

    Attributes:
        waiting: units that have not begun, in the order in which they should.
        begun: units that are at work, here or elsewhere.
        failed: units that will not be done in this round.
    """

    def __init__(self, plan: Plan) -> None:
        asked = plan.asked
        order = asked.root.in_partition_order(list(asked.keys))
        self._place = {key: place for place, key in enumerate(order)}
        self._stages = (*(stage for stage in asked.stages if stage != "tokenize"), "tokenizer", "tokenize")
        self._tokenizer = plan.tokenizer.name if plan.tokenizer is not None and plan.tokenizer.runs else None
        self._all_documents_first = "dedup" in asked.stages and asked.config("dedup").scope == "corpus"
        names = [unit.name for unit in plan.to_do()]
        self._unsettled = set(names)
        self._by_stage = {
            stage: _Open(self._place[key] for one, key in names if one == stage and key in self._place)
            for stage in self._stages
        }
        sign = -1 if asked.backfill.backwards else 1

        def priority(name: UnitName) -> tuple[int, int]:
            stage, key = name
            # Of several that may begin, the partition that comes first, and of that what is furthest along.
            return (1 if stage in ORDERED else sign) * self._place.get(key, 0), -self._stages.index(stage)

        self.waiting = dict.fromkeys(sorted(names, key=priority))
        self.begun: set[UnitName] = set()
        self.failed: set[UnitName] = set()

    def _before(self, name: UnitName) -> list[UnitName]:
        """What has to be done, and not only settled, before a unit begins."""
        stage, key = name
        earlier = self._stages[: self._stages.index(stage)]
        needed: list[UnitName] = [(one, key) for one in earlier]
        if stage == "tokenize" and self._tokenizer is not None:
            needed.append(self._tokenizer)
        return needed

    def _waits(self, stage: str, key: PartitionKey) -> bool:
        """Whether a partition that comes first is still open in this stage, or its documents are."""
        if stage == "tokenizer":
            return any(self._by_stage[one].first() is not None for one in self._stages[:-2])
        if stage not in ORDERED:
            return False
        place = self._place[key]
        same = self._by_stage[stage].first()
        documents = self._by_stage["clean"].first() if "clean" in self._by_stage else None
        if documents is not None and (self._all_documents_first or documents < place):
            return True
        return same is not None and same < place

    def _hopeless(self, name: UnitName) -> bool:
        if name == self._tokenizer:
            return any(stage != "tokenize" for stage, _ in self.failed)
        return any(one in self.failed for one in self._before(name))

    def ready(self, most: int) -> list[UnitName]:
        """Units that may begin, in order; those that cannot be done any more are settled as failed on the way."""
        found: list[UnitName] = []
        for name in list(self.waiting):
            if len(found) >= most:
                break
            if self._hopeless(name):
                del self.waiting[name]
                self.settle(name, done=False)
            elif not self._waits(*name) and not any(one in self._unsettled for one in self._before(name)):
                found.append(name)
        return found

    def begin(self, name: UnitName) -> None:
        """A unit is at work."""
        del self.waiting[name]
        self.begun.add(name)

    def wait_again(self, name: UnitName) -> None:
        """A unit that was at work is to begin again."""
        self.begun.remove(name)
        self.waiting = {name: None, **self.waiting}

    def settle(self, name: UnitName, *, done: bool) -> None:
        """A unit has ended."""
        self.begun.discard(name)
        self._unsettled.discard(name)
        if name[1] in self._place:
            self._by_stage[name[0]].close(self._place[name[1]])
        if not done:
            self.failed.add(name)

    @property
    def over(self) -> bool:
        """Whether every unit is settled."""
        return not self.waiting and not self.begun
