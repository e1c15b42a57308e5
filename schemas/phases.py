"""Where each source of a mixture stands in its epochs, phase after phase.

A phase goes through the windows that a source has when the phase is planned. A window that came since the phase before
joins the epoch under way: what is left of it is the old windows not yet seen and the new ones, each once. An epoch
ends when nothing is left of it and another sample is wanted; the next one holds all windows of the phase.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ManifestError
from schemas.identity import stable_fraction
from schemas.interleave import counts_before
from schemas.mixture import MixturePlan, Phase

__all__ = ["EpochPlace", "known_windows", "places_after", "planned_samples", "source_offsets", "taken_samples"]

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class EpochPlace:
    """A source's place: `cursor` of the `size` windows of epoch number `epoch` are seen; `windows` are known."""

    epoch: int = 0
    size: int = 0
    cursor: int = 0
    windows: int = 0

    @property
    def left(self) -> int:
        """Windows not yet seen in this epoch."""
        return self.size - self.cursor

    def with_windows(self, windows: int) -> EpochPlace:
        """The place once the source has so many windows, at least as many as before."""
        if windows == self.windows:
            return self
        return EpochPlace(self.epoch, self.left + windows - self.windows, 0, windows)

    def after(self, samples: int) -> EpochPlace:
        """The place so many samples later."""
        beyond = samples - self.left
        if beyond <= 0:
            return replace(self, cursor=self.cursor + samples)
        turns = (beyond - 1) // self.windows
        return EpochPlace(self.epoch + 1 + turns, self.windows, beyond - turns * self.windows, self.windows)


def source_offsets(plan: MixturePlan) -> NDArray[np.float64]:
    """The draw in [0, 1) by which the samples of each source are shifted; of the plan, so that all runs share it."""
    draws = [stable_fraction(stream.source.encode("utf-8"), plan.seed, "order") for stream in plan.train]
    return np.array(draws, dtype=np.float64)


def planned_samples(plan: MixturePlan, phase: Phase) -> Integers:
    """Samples of each source of `plan.train` in a phase as it was planned.

    Raises:
        ManifestError: the phase contradicts itself or its plan.
    """
    names = [stream.source for stream in plan.train]
    counts = np.zeros(len(names), dtype=np.int64)
    for share in phase.shares:
        if share.samples and (share.source not in names or not share.windows):
            raise ManifestError(
                f"mixture {plan.name}: {share.samples} samples from {share.source!r}, which has no window of its "
                "own; run `corpusmill run mix` again"
            )
        if share.samples:
            counts[names.index(share.source)] += share.samples
    if counts.sum() != phase.planned or not 0 < phase.samples <= phase.planned:
        raise ManifestError(
            f"mixture {plan.name}: a phase of {phase.planned} samples has shares of {counts.sum()} together; "
            "run `corpusmill run mix` again"
        )
    return counts


def taken_samples(plan: MixturePlan, phase: Phase, samples: int | None = None) -> Integers:
    """Samples of each source of `plan.train` in the first `samples` of a phase, by default all that it takes."""
    counts, stop = planned_samples(plan, phase), phase.samples if samples is None else samples
    there = np.flatnonzero(counts)
    taken = np.zeros_like(counts)
    taken[there] = counts_before(counts[there], source_offsets(plan)[there], stop)
    return taken


def known_windows(plan: MixturePlan, phase: Phase, before: Integers) -> Integers:
    """Windows of each source of `plan.train` in a phase; of a source that it does not name, those it had before.

    Raises:
        ManifestError: a source has fewer windows than before, or more than the plan holds.
    """
    windows = before.copy()
    for number, stream in enumerate(plan.train):
        for share in phase.shares:
            if share.source == stream.source:
                windows[number] = share.windows
        if not before[number] <= windows[number] <= stream.windows(plan.sequence_length):
            raise ManifestError(
                f"mixture {plan.name}: a phase takes {windows[number]} windows of {stream.source!r}, which had "
                f"{before[number]} before and has {stream.windows(plan.sequence_length)} in all; run `corpusmill run "
                "mix` again"
            )
    return windows


def places_after(plan: MixturePlan, samples: int) -> dict[str, EpochPlace]:
    """Where each source of a plan stands after its first `samples` samples.

    Raises:
        ManifestError: the plan contradicts itself.
    """
    places = [EpochPlace()] * len(plan.train)
    for phase in plan.phases:
        windows = known_windows(plan, phase, np.array([place.windows for place in places], dtype=np.int64))
        taken = taken_samples(plan, phase, min(samples, phase.samples))
        places = [
            place.with_windows(int(known)).after(int(count))
            for place, known, count in zip(places, windows, taken, strict=True)
        ]
        samples -= min(samples, phase.samples)
        if not samples:
            break
    return {stream.source: place for stream, place in zip(plan.train, places, strict=True)}
