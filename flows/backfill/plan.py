"""The plan of a backfill: for each stage on each partition a decision and its reason, in the order of the chain.

What manifests say comes first; the ledger adds who works on it now and what failed. A unit of a later stage waits for
those of earlier stages that will run, so that a plan of the chain names all that a run would do.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from flows.backfill.checks import Looks, look_at_clean, look_at_crawl, look_at_tokenize, to_be_made
from flows.backfill.claims import Claims
from flows.backfill.corpus_view import CorpusView, view_of
from flows.backfill.ledger import Ledger
from flows.backfill.looks import Look
from flows.backfill.ordered_checks import look_at_decontaminate, look_at_dedup
from flows.backfill.requests import Asked
from schemas.corpus_root import PartitionKey
from schemas.ledger import REPROCESS, ClaimRecord, Failure
from schemas.manifest import Manifest, read_manifest
from schemas.token_shard import token_table

__all__ = ["DECISIONS", "Decision", "Plan", "PlannedUnit", "UnitName", "make_plan", "tokenizer_unit"]

Decision = Literal["done", "running", "missing", "stale", "failed", "blocked", "poisoned"]
DECISIONS: tuple[Decision, ...] = ("done", "running", "missing", "stale", "failed", "blocked", "poisoned")
UnitName = tuple[str, PartitionKey]  # a stage and a partition


@dataclass(frozen=True)
class PlannedUnit:
    """A stage on a partition.

    Attributes:
        stage: which stage.
        key: which partition.
        decision: what is known of it.
        reason: why.
        runs: whether a run would do it now, or wait for who does it.
        manifests: of what is there of it.
        attempts: how often it failed.
    """

    stage: str
    key: PartitionKey
    decision: Decision
    reason: str
    runs: bool
    manifests: tuple[Manifest, ...] = ()
    attempts: int = 0

    @property
    def name(self) -> UnitName:
        """What it is called."""
        return self.stage, self.key


@dataclass(frozen=True)
class Plan:
    """Decisions by stage and partition; `tokenizer` where the chain has still to make one."""

    asked: Asked
    view: CorpusView
    units: dict[str, dict[PartitionKey, PlannedUnit]]
    tokenizer: PlannedUnit | None = None

    def of(self, key: PartitionKey) -> PlannedUnit:
        """What is to be said of a partition: its first unit that is not done, or its last one."""
        found = [self.units[stage][key] for stage in self.asked.stages]
        return next((unit for unit in found if unit.decision != "done"), found[-1])

    def to_do(self) -> Iterator[PlannedUnit]:
        """What a run would do now, or wait for, stage by stage."""
        for stage in self.asked.stages:
            if stage == "tokenize" and self.tokenizer is not None and self.tokenizer.runs:
                yield self.tokenizer
            yield from (unit for unit in self.units[stage].values() if unit.runs)

    def counts(self) -> dict[str, int]:
        """How many partitions have which decision."""
        found = Counter(self.of(key).decision for key in self.asked.keys)
        return {name: found[name] for name in DECISIONS if found[name]}


@dataclass(frozen=True)
class _Overlay:
    """What the ledger adds to what manifests say."""

    asked: Asked
    held: Mapping[UnitName, ClaimRecord]
    failures: Mapping[UnitName, Failure]
    given_up: frozenset[UnitName]
    digests: dict[str, str] = field(default_factory=dict)

    def _failure(self, name: UnitName) -> Failure | None:
        failure = self.failures.get(name)
        if failure is None:
            return None
        if name[0] not in self.digests:
            self.digests[name[0]] = self.asked.digest(name[0])
        return failure if failure.asked == self.digests[name[0]] else None

    def set_aside(self, stage: str, failed: Collection[PartitionKey]) -> frozenset[PartitionKey]:
        """Partitions of which this stage will not be done now, so that nothing waits for them."""
        most = self.asked.backfill.max_attempts

        def stays(key: PartitionKey) -> bool:
            failure = self._failure((stage, key))
            return key in failed or (stage, key) in self.given_up or (failure is not None and failure.attempts >= most)

        return frozenset(key for key in self.asked.keys if stays(key))

    def decide(self, stage: str, key: PartitionKey, look: Look) -> PlannedUnit:
        """A unit with its decision."""
        name, about = (stage, key), self.asked.backfill
        decision: Decision = look.state
        reason, attempts, wanted = look.reason, 0, self._wanted(look)
        holder = self.held.get(name) if look.state != "done" else None
        failure = self._failure(name) if look.state in ("missing", "stale") else None
        if holder is not None:
            decision, reason = "running", f"by process {holder.pid} on {holder.host}"
        elif failure is not None:
            attempts = failure.attempts
            decision = "poisoned" if attempts >= about.max_attempts else "failed"
            times = "once" if attempts == 1 else f"{attempts} times"
            reason = f"{times}, last: {failure.cause}"
            wanted = wanted and decision == "failed" and about.reprocess != "none"
        return PlannedUnit(stage, key, decision, reason, wanted and name not in self.given_up, look.manifests, attempts)

    def _wanted(self, look: Look) -> bool:
        if look.state == "stale":
            return REPROCESS.index(self.asked.backfill.reprocess) >= REPROCESS.index("stale")
        return look.state == "missing"


def tokenizer_unit(asked: Asked) -> UnitName:
    """The unit that makes the tokenizer of the chain."""
    return "tokenizer", PartitionKey(asked.backfill.source, asked.config("tokenize").tokenizer)


def _looks(
    stage: str, asked: Asked, view: CorpusView, remade: Mapping[PartitionKey, str], set_aside: frozenset[PartitionKey]
) -> Looks:
    keys = asked.keys
    match stage:
        case "crawl":
            return look_at_crawl(asked, view, keys)
        case "clean":
            return look_at_clean(asked, view, keys)
        case "dedup":
            return look_at_dedup(asked, view, keys, remade, set_aside)
        case "decontaminate":
            return look_at_decontaminate(asked, view, keys, remade, set_aside)
        case _:
            return look_at_tokenize(asked, view, keys, remade)


def _tokenizer(
    asked: Asked, view: CorpusView, overlay: _Overlay, before: Mapping[PartitionKey, PlannedUnit]
) -> PlannedUnit | None:
    """The tokenizer of the chain, where it has to be made: once, of all partitions that were asked for.

    So it is the same whatever was killed and in whatever order partitions were done.
    """
    stage, key = tokenizer_unit(asked)
    if asked.backfill.stage != "corpus" or read_manifest(view.tokenizer_folder(key.partition)) is not None:
        return None
    short = [unit.key.partition for unit in before.values() if not (unit.runs or unit.decision == "done")]
    if short:
        names = ", ".join(short[:3]) + (f" and {len(short) - 3} more" if len(short) > 3 else "")
        reason = (
            f"tokenizer {key.partition!r} is made of all partitions, and {names} cannot be; see to these, or make it "
            f"of what is there: corpusmill run tokenizer --root {view.url}"
        )
        return overlay.decide(stage, key, Look("blocked", reason))
    return overlay.decide(stage, key, Look("missing"))


def _after_tokenizer(looks: Looks, tokenizer: PlannedUnit, view: CorpusView) -> Looks:
    """Token shards that wait for the tokenizer."""
    table = token_table(tokenizer.key.partition, "train")
    if tokenizer.runs:
        return {key: to_be_made(view.known.manifest(table, key), "after the tokenizer") for key in looks}
    return {key: Look("blocked", tokenizer.reason) for key in looks}


def make_plan(asked: Asked, given_up: frozenset[UnitName] = frozenset(), view: CorpusView | None = None) -> Plan:
    """Decide about every partition that was asked for.

    Args:
        asked: the backfill.
        given_up: units that a run does not try again.
        view: the corpus, where it was looked at before; it is looked at anew.

    Raises:
        UserError: a setting or a file that it names is wrong.
        ManifestError: a manifest is damaged.
    """
    view = view or view_of(asked.root)
    view.known.forget()
    with _without_collector():
        return _plan(asked, given_up, view)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Values are made by the hundred thousand and none goes: looking for cycles would take as long as all the rest."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _plan(asked: Asked, given_up: frozenset[UnitName], view: CorpusView) -> Plan:
    failures = Ledger(asked.root).failures((*asked.stages, "tokenizer"), asked.backfill.source)
    overlay = _Overlay(asked, Claims(asked.root).held(), failures, given_up)
    units: dict[str, dict[PartitionKey, PlannedUnit]] = {}
    remade: dict[PartitionKey, str] = {}
    failed: dict[PartitionKey, str] = {}
    tokenizer: PlannedUnit | None = None
    for stage in asked.stages:
        looks = _looks(stage, asked, view, remade, overlay.set_aside(stage, failed))
        if stage == "tokenize":
            before = next(reversed(units.values())) if units else {}
            tokenizer = _tokenizer(asked, view, overlay, before)
            if tokenizer is not None:
                looks = _after_tokenizer(looks, tokenizer, view)
        for key, earlier in failed.items():
            if looks[key].state != "done":
                looks[key] = Look("blocked", f"{earlier} of it failed", looks[key].manifests)
        units[stage] = {key: overlay.decide(stage, key, looks[key]) for key in asked.keys}
        for key, unit in units[stage].items():
            set_aside = unit.decision in ("failed", "poisoned") or unit.name in given_up
            if set_aside and unit.decision != "done" and not unit.runs:
                failed.setdefault(key, stage)
            if unit.runs:
                remade.setdefault(key, f"after {stage}")
    view.known.save()
    return Plan(asked, view, units, tokenizer)
