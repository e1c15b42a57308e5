"""The result of a stage as small JSON: what `run STAGE --json` prints and what goes from one task to the next."""

from __future__ import annotations

from typing import Any

from pipelines.engine.stage import StageResult
from pipelines.engine.unit import UnitOutcome

__all__ = ["stage_result_json"]


def _unit(outcome: UnitOutcome) -> dict[str, Any]:
    manifest = outcome.manifest
    return {
        "source": outcome.key.source,
        "partition": outcome.key.partition,
        "status": outcome.status,
        "reason": outcome.reason,
        "rows": {name: table.rows for name, table in manifest.tables.items()},
        "bytes": sum(file.bytes for table in manifest.tables.values() for file in table.files),
        "counts": manifest.counts,
        "notes": manifest.notes,
        "seconds": manifest.seconds,
        "peak_rss_bytes": manifest.peak_rss_bytes,
        "workers": manifest.workers,
    }


def stage_result_json(result: StageResult) -> dict[str, Any]:
    """Units in the order in which they were done, with their counts; sizes in bytes."""
    units = [_unit(outcome) for outcome in result.outcomes]
    return {
        "stage": result.stage,
        "done": result.done,
        "skipped": result.skipped,
        "units": units,
        "changed": [str(key) for key in result.changed],
        "outdated": [str(key) for key in result.outdated],
    }
