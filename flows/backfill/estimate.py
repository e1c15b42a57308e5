"""What a backfill will take, from what units of the same stage took: rows, bytes, core-hours and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flows.backfill.known_manifests import BYTES_NOTE
from flows.backfill.plan import Plan, PlannedUnit
from schemas.manifest import Manifest

__all__ = ["ORDERED", "Estimate", "estimate_of", "estimate_plan"]

# Each partition after the one before it, however many units may run at once.
ORDERED = frozenset({"dedup", "decontaminate"})
# The stages by which manifests of several units name themselves.
_UNITS = {
    "dedup": ("dedup-signatures", "dedup-edges", "dedup"),
    "decontaminate": ("decontaminate-overlaps", "decontaminate"),
}


@dataclass(frozen=True)
class Estimate:
    """Rows and bytes that are written, seconds of one core and seconds by the clock; of how many units."""

    rows: float = 0.0
    bytes: float = 0.0
    core_seconds: float = 0.0
    seconds: float = 0.0
    units: int = 0
    unknown: int = 0

    def __add__(self, other: Estimate) -> Estimate:
        """Both together."""
        return Estimate(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def as_json(self) -> dict[str, float | int]:
        """Plain numbers; `unknown` units have no history to tell by."""
        return {
            "units": self.units,
            "unknown": self.unknown,
            "rows": round(self.rows),
            "bytes": round(self.bytes),
            "core_hours": round(self.core_seconds / 3600, 4),
            "seconds": round(self.seconds, 1),
        }


def estimate_of(manifests: Sequence[Manifest]) -> Estimate:
    """What units took: sums over them, as one."""
    rows = size = cores = seconds = 0.0
    for manifest in manifests:
        size += manifest.notes.get(BYTES_NOTE, 0)
        for table in manifest.tables.values():
            rows += table.rows
            size += sum(file.bytes for file in table.files)
        cores += manifest.seconds * manifest.workers
        seconds += manifest.seconds
    return Estimate(rows, size, cores, seconds, 1 if manifests else 0)


def _mean(plan: Plan, stage: str) -> Estimate | None:
    """A unit of a stage as it was so far, on average over partitions; of the same source where there are any."""
    total: Estimate | None = None
    for name in _UNITS.get(stage, (stage,)):
        history = plan.view.known.history(name)
        own = [one for one in history if one.source == plan.asked.backfill.source] or history
        if own:
            sums = estimate_of(own)
            number = len(own)
            mean = Estimate(sums.rows / number, sums.bytes / number, sums.core_seconds / number, sums.seconds / number)
            total = mean if total is None else total + mean
    return total


def estimate_plan(plan: Plan) -> Estimate:
    """What a run of a plan would take now; by the clock, as many units at once as may run."""
    total = Estimate()
    for stage, units in plan.units.items():
        running = [unit for unit in units.values() if unit.runs]
        if not running:
            continue
        mean = _mean(plan, stage)
        sums = Estimate()
        for unit in running:
            sums += _of_unit(unit, mean)
        at_once = 1 if stage in ORDERED else min(plan.asked.backfill.max_active, len(running))
        total += Estimate(sums.rows, sums.bytes, sums.core_seconds, sums.seconds / at_once, sums.units, sums.unknown)
    return total


def _of_unit(unit: PlannedUnit, mean: Estimate | None) -> Estimate:
    own = estimate_of(unit.manifests)
    if own.units and own.seconds:
        return own
    if mean is None:
        return Estimate(units=1, unknown=1)
    return Estimate(mean.rows, mean.bytes, mean.core_seconds, mean.seconds, 1)
