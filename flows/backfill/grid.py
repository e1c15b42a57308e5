"""The grid of a backfill, partition × stage: rows that are alike are folded, so that thousands fit on a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flows.backfill.plan import DECISIONS, Decision, Plan, PlannedUnit

__all__ = ["GridRow", "fold", "markdown", "reasons", "summary"]

_MOST_ROWS = 60


@dataclass(frozen=True)
class GridRow:
    """Partitions that follow each other.

    Attributes:
        name: of the partition, or of the first and the last one.
        partitions: how many.
        cells: for each stage how many partitions have which decision.
        reason: of what is not done, where all of them share it.
    """

    name: str
    partitions: int
    cells: tuple[dict[Decision, int], ...]
    reason: str

    def texts(self) -> list[str]:
        """The cells as words."""
        return [_cell(cell) for cell in self.cells]

    def worst(self) -> list[Decision]:
        """For each stage the decision that most wants to be looked at."""
        return [max(cell, key=DECISIONS.index) for cell in self.cells]


def _cell(cell: dict[Decision, int]) -> str:
    if len(cell) == 1:
        return str(next(iter(cell)))
    return ", ".join(
        f"{number:,} {name}" for name, number in sorted(cell.items(), key=lambda one: DECISIONS.index(one[0]))
    )


def _row(units: Sequence[Sequence[PlannedUnit]], plan: Plan) -> GridRow:
    """The row of these partitions, each with the units of its stages."""
    names = [one[0].key.partition for one in units]
    name = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
    cells: tuple[dict[Decision, int], ...] = tuple(
        dict(Counter(one[number].decision for one in units)) for number in range(len(plan.asked.stages))
    )
    said = {plan.of(one[0].key).reason for one in units}
    return GridRow(name, len(names), cells, said.pop() if len(said) == 1 else f"{len(said)} reasons")


def _alike(plan: Plan) -> Iterator[list[list[PlannedUnit]]]:
    """Partitions that follow each other and have the same decisions, and the same reason where that is told."""
    block: list[list[PlannedUnit]] = []
    before: object = None
    for key in plan.asked.keys:
        units = [plan.units[stage][key] for stage in plan.asked.stages]
        shown = plan.of(key)
        reason = "" if shown.decision in ("done", "missing") else shown.reason
        mark = ([unit.decision for unit in units], reason)
        if block and mark != before:
            yield block
            block = []
        block.append(units)
        before = mark
    yield block


def fold(plan: Plan, most: int = _MOST_ROWS) -> list[GridRow]:
    """The rows of the grid: what is alike is one row, and no more than so many rows, each of which then counts."""
    blocks = list(_alike(plan))
    if len(blocks) > most:
        units = [[plan.units[stage][key] for stage in plan.asked.stages] for key in plan.asked.keys]
        size = -(-len(units) // most)
        blocks = [units[start : start + size] for start in range(0, len(units), size)]
    return [_row(block, plan) for block in blocks]


def summary(plan: Plan) -> str:
    """`7 done, 2 missing, 1 failed` and so on, of all partitions."""
    return ", ".join(f"{number:,} {name}" for name, number in plan.counts().items())


def reasons(plan: Plan) -> list[tuple[str, str, str, str]]:
    """Partition, stage, decision and cause of everything that failed."""
    return [
        (key.partition, unit.stage, unit.decision, unit.reason)
        for stage in plan.asked.stages
        for key, unit in plan.units[stage].items()
        if unit.decision in ("failed", "poisoned")
    ]


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def markdown(plan: Plan) -> str:
    """The grid as Markdown, for an artifact of Prefect."""
    about, stages = plan.asked.backfill, plan.asked.stages
    lines = [
        f"# Backfill of {about.stage}: {about.source} {about.partitions}",
        "",
        f"{len(plan.asked.keys):,} partitions: {summary(plan)}.",
        "",
        "| partitions | number | " + " | ".join(stages) + " | reason |",
        "|---|---:|" + "---|" * (len(stages) + 1),
    ]
    for row in fold(plan):
        words = " | ".join(row.texts())
        lines.append(f"| {_plain(row.name)} | {row.partitions:,} | {words} | {_plain(row.reason)} |")
    return "\n".join([*lines, "", f"Go on with it: `{plan.asked.command('resume')}`", ""])
