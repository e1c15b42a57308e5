"""The order of a run: its plan's, less the samples that a run has left out after a bad step.

`<run>/skips.jsonl` has a row for each stretch of samples, counted in the plan's order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from schemas.storage import Folder
from training.data.order import SampleOrder, Samples

__all__ = ["SKIPS_NAME", "RunOrder", "Skip", "append_skips", "read_skips"]

SKIPS_NAME = "skips.jsonl"


class Skip(BaseModel):
    """One row of `skips.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int = Field(description="that was bad")
    start: int = Field(description="first sample that is left out, in the plan's order")
    stop: int = Field(description="one past the last")
    reason: str
    windows: str = Field(description="the samples by name")


def read_skips(run: str) -> list[Skip]:
    """What a run leaves out, in the order in which it came to; a half-written last line counts as not written."""
    folder = Folder(run)
    if not folder.exists(SKIPS_NAME):
        return []
    *lines, _ = folder.read(SKIPS_NAME).decode("utf-8").split("\n")
    return [Skip.model_validate(json.loads(line)) for line in lines]


def append_skips(run: str, skips: list[Skip]) -> None:
    """Add rows.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = [*read_skips(run), *skips]
    Folder(run).put_whole(SKIPS_NAME, "".join(row.model_dump_json() + "\n" for row in rows).encode("utf-8"))


class RunOrder:
    """The samples of a run, counted without those that are left out."""

    def __init__(self, order: SampleOrder, skips: list[Skip]) -> None:
        self._order = order
        self._skips = sorted((skip.start, skip.stop) for skip in skips)

    def __len__(self) -> int:
        return len(self._order) - sum(stop - start for start, stop in self._skips)

    def in_plan(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Samples `start` to `stop` of the run as stretches of the plan."""
        at, left, stretches = start, stop - start, [*self._skips, (2**63, 2**63)]
        for skipped, after in stretches:
            if at >= skipped:
                at += after - skipped
                continue
            taken = min(left, skipped - at)
            if taken > 0:
                yield at, at + taken
            at, left = after, left - taken
            if left <= 0:
                return

    def locate(self, start: int, stop: int) -> Samples:
        """Samples `start` to `stop` (0 ≤ start ≤ stop ≤ len) of the run."""
        if not self._skips:
            return self._order.locate(start, stop)
        parts = [self._order.locate(low, high) for low, high in self.in_plan(start, stop)]
        empty = np.empty(0, dtype=np.int64)
        return Samples(
            np.concatenate([empty, *(part.sources for part in parts)]),
            np.concatenate([empty, *(part.windows for part in parts)]),
        )

    def find(self, source: int, window: int) -> list[int]:
        """The samples of the run that are a window of a source, ascending."""
        found = []
        for sample in self._order.find(source, window):
            before = [min(sample, stop) - start for start, stop in self._skips if start <= sample]
            if not any(start <= sample < stop for start, stop in self._skips):
                found.append(sample - sum(before))
        return found
