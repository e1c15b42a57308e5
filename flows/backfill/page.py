"""The grid of a backfill as one static page that needs nothing else, in the style of the report."""

from __future__ import annotations

from datetime import UTC, datetime

from flows.backfill.grid import fold, reasons, summary
from flows.backfill.plan import DECISIONS, Plan
from flows.report.page import page_environment, put_page

__all__ = ["render_grid", "write_grid"]

# A square for each unit up to here; beyond, the folded rows say the same in a page that a browser can show.
_MOST_SQUARES = 20_000
_MOST_FAILURES = 200


def render_grid(plan: Plan, made_at: datetime) -> str:
    """The page as HTML; the same plan and time give the same bytes."""
    stages, keys = plan.asked.stages, plan.asked.keys
    counts = {stage: [unit.decision for unit in plan.units[stage].values()] for stage in stages}
    failed = reasons(plan)
    return (
        page_environment("flows.backfill")
        .get_template("grid.html")
        .render(
            backfill=plan.asked.backfill,
            root=plan.asked.root.url,
            keys=keys,
            stages=stages,
            units=plan.units if len(keys) * len(stages) <= _MOST_SQUARES else None,
            done={stage: found.count("done") for stage, found in counts.items()},
            decisions=[name for name in DECISIONS if any(name in found for found in counts.values())],
            rows=fold(plan),
            summary=summary(plan),
            failures=failed[:_MOST_FAILURES],
            more_failures=max(0, len(failed) - _MOST_FAILURES),
            resume=plan.asked.command("resume"),
            made_at=made_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
    )


def write_grid(plan: Plan, target: str) -> str:
    """Write the page to a path or URL; gives back where it lies.

    Raises:
        OutputError: it cannot be written.
    """
    return put_page(render_grid(plan, datetime.now(UTC)), target)
