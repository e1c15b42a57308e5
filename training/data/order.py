"""The order of training samples: a pure function of (mixture plan, seed, sample index).

Neither world size nor micro-batch enters, nothing is stored, and any index is found without going through those before.

Two choices make an order. Which source comes next: sample k of the n samples that a phase takes from a source lies at
time (k + u) / n, u in [0, 1) drawn once per source, and samples follow each other by time. So at every moment each
source is within a few samples of its share, and its samples come as position 0, 1, 2 … of the source, which is why its
epochs follow one another. Which window a position means: within each epoch, a permutation of the source's windows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ManifestError
from schemas.identity import length_prefixed, stable_fraction
from schemas.mixture import MixturePlan, Phase
from training.data.permutation import permute, unpermute

__all__ = ["SampleOrder", "Samples", "interleave", "places_of", "rows_of_rank"]

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """Consecutive samples: for each, the source (index into `plan.train`) and the window of that source."""

    sources: Integers
    windows: Integers

    def slice(self, start: int, stop: int) -> Samples:
        """Samples `start` to `stop` of these."""
        return Samples(self.sources[start:stop], self.windows[start:stop])


def rows_of_rank(count: int, rank: int, world_size: int) -> tuple[int, int]:
    """Which of `count` consecutive samples one rank takes: contiguous parts, in order of rank, as equal as they get."""
    return count * rank // world_size, count * (rank + 1) // world_size


def interleave(counts: Integers, offsets: NDArray[np.float64], start: int, stop: int) -> tuple[Integers, Integers]:
    """Entries `start` to `stop` of the sequence that holds `counts[s]` entries of each source s, spread evenly.

    Entry k of source s has time (k + offsets[s]) / counts[s]; equal times go by source. Up to any entry, source s has
    come within len(counts) + 1 entries of its share, so a window of that size around the share is all that is sorted.

    Args:
        counts: entries of each source, at least 1 each.
        offsets: in [0, 1), one per source.
        start: first entry.
        stop: one past the last entry, at most the sum of counts.

    Returns:
        For each entry, its source and its k.
    """
    exact = [int(count) for count in counts]  # products of two counts overflow int64
    total, slack = sum(exact), len(exact)
    first = [max(0, count * (start - slack) // total - 2) for count in exact]
    last = [min(count, count * (stop + slack) // total + 3) for count in exact]
    sources = np.concatenate([np.full(b - a, s) for s, (a, b) in enumerate(zip(first, last, strict=True))])
    entries = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
    times = (entries + offsets[sources]) / counts[sources]
    before = sum(first)
    chosen = np.lexsort((entries, sources, times))[start - before : stop - before]
    return sources[chosen], entries[chosen]


def places_of(counts: Integers, offsets: NDArray[np.float64], source: int, entries: Integers) -> Integers:
    """Where entries of one source stand in the sequence of `interleave`: its inverse.

    An entry's place is how many entries of all sources come before it. For each source that number follows from the
    entry's time to within two, and is then found by comparing times as `interleave` does.

    Args:
        counts: as given to `interleave`.
        offsets: as given to `interleave`.
        source: of the entries.
        entries: k of each.
    """
    times = (entries + offsets[source]) / counts[source]
    places = np.zeros(len(entries), dtype=np.int64)
    for other, count in enumerate(counts.tolist()):
        low = np.clip(np.floor(times * count - offsets[other]).astype(np.int64) - 2, 0, count)
        before = low.copy()
        for step in range(6):
            nth = low + step
            nth_times = (nth + offsets[other]) / count
            earlier = (nth_times < times) | ((nth_times == times) & (other < source))
            if other == source:
                earlier = nth < entries
            before += earlier & (nth < count)
        places += before
    return places


class SampleOrder:
    """The samples of a plan under one seed."""

    def __init__(self, plan: MixturePlan, seed: int) -> None:
        """Check the plan.

        Raises:
            ManifestError: the plan contradicts itself.
        """
        self._names = [stream.source for stream in plan.train]
        self._sizes = np.array([stream.windows(plan.sequence_length) for stream in plan.train], dtype=np.int64)
        self._seeds = struct.pack(">qq", plan.seed, seed)
        self._offsets = np.array([stable_fraction(n.encode(), seed, "order") for n in self._names], dtype=np.float64)
        self._counts = [self._counts_of(plan.name, phase) for phase in plan.phases]

    def _counts_of(self, plan_name: str, phase: Phase) -> Integers:
        counts = np.zeros(len(self._names), dtype=np.int64)
        for share in phase.shares:
            if share.samples and (share.source not in self._names or not self._sizes[self._names.index(share.source)]):
                raise ManifestError(
                    f"mixture {plan_name}: {share.samples} samples from {share.source!r}, which has no window of its "
                    "own; run `corpusmill run mix` again"
                )
            if share.samples:
                counts[self._names.index(share.source)] += share.samples
        if counts.sum() != phase.samples:
            raise ManifestError(
                f"mixture {plan_name}: a phase of {phase.samples} samples has shares of {counts.sum()} together; "
                "run `corpusmill run mix` again"
            )
        return counts

    def __len__(self) -> int:
        return int(sum(counts.sum() for counts in self._counts))

    def locate(self, start: int, stop: int) -> Samples:
        """Samples `start` to `stop` (0 ≤ start ≤ stop ≤ len)."""
        sources, positions = self._positions(start, stop)
        windows = np.empty(len(sources), dtype=np.int64)
        epochs, offsets = np.divmod(positions, self._sizes[sources])
        for source, epoch in {(int(s), int(e)) for s, e in zip(sources, epochs, strict=True)}:
            here = (sources == source) & (epochs == epoch)
            windows[here] = permute(offsets[here], int(self._sizes[source]), self._key(source, epoch))
        return Samples(sources, windows)

    def _key(self, source: int, epoch: int) -> bytes:
        return length_prefixed(self._seeds, self._names[source].encode("utf-8"), struct.pack(">q", epoch))

    def find(self, source: int, window: int) -> list[int]:
        """The samples that are a window of a source, ascending: the inverse of `locate`, in O(epochs × sources)."""
        size, found = int(self._sizes[source]), []
        begin = cursor = 0
        for counts in self._counts:
            count, end = int(counts[source]), cursor + int(counts[source])
            epochs = range(cursor // size, -(-end // size)) if count else range(0)
            image = np.array([window], dtype=np.int64)
            positions = [epoch * size + int(unpermute(image, size, self._key(source, epoch))[0]) for epoch in epochs]
            entries = np.array([one - cursor for one in positions if cursor <= one < end], dtype=np.int64)
            taken = np.flatnonzero(counts)
            if len(entries):
                own = int(np.searchsorted(taken, source))
                found += (begin + places_of(counts[taken], self._offsets[taken], own, entries)).tolist()
            begin, cursor = begin + int(counts.sum()), end
        return sorted(found)

    def _positions(self, start: int, stop: int) -> tuple[Integers, Integers]:
        """Source of each sample, and its position among all samples of that source since the run's beginning."""
        sources: list[Integers] = [np.empty(0, dtype=np.int64)]
        positions: list[Integers] = [np.empty(0, dtype=np.int64)]
        begin, cursors = 0, np.zeros(len(self._names), dtype=np.int64)
        for counts in self._counts:
            end = begin + int(counts.sum())
            low, high = max(start, begin), min(stop, end)
            if low < high:
                taken = np.flatnonzero(counts)
                which, entries = interleave(counts[taken], self._offsets[taken], low - begin, high - begin)
                sources.append(taken[which])
                positions.append(cursors[taken[which]] + entries)
            begin, cursors = end, cursors + counts
        return np.concatenate(sources), np.concatenate(positions)
