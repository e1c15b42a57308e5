"""The order of training samples: a pure function of (mixture plan, seed, sample index).

Neither world size nor micro-batch enters, nothing is stored, and any index is found without going through those before.

Two choices make an order. Which source comes next: sample k of the n samples that a phase takes from a source lies at
time (k + u) / n, u in [0, 1) drawn once per source, and samples follow each other by time. So at every moment each
source is within a few samples of its share, and its samples come as position 0, 1, 2 … of the source, which is why its
epochs follow one another. Which window a position means: within each epoch, a permutation of the source's windows.
Where a phase knows more windows than the one before, the rest of the epoch under way and the new windows follow each
other by time in the same manner, so that both are spread over what remains in proportion.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from schemas.identity import length_prefixed
from schemas.interleave import interleave, places_of
from schemas.mixture import MixturePlan
from schemas.phases import EpochPlace, known_windows, planned_samples, source_offsets, taken_samples
from training.data.permutation import permute, unpermute

__all__ = ["SampleOrder", "Samples", "rows_of_rank"]

Integers = NDArray[np.int64]
# In the middle of the time between two entries: old and new windows that are as many alternate.
_MIDDLE = np.array([0.0, 0.5])


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


@dataclass(frozen=True)
class _Permuted:
    """Windows `first` to `first + size` in an order of their own."""

    first: int
    size: int
    key: bytes

    def windows(self, start: int, stop: int) -> Integers:
        return self.first + permute(np.arange(start, stop), self.size, self.key)

    def position(self, window: int) -> int | None:
        """The inverse of `windows`; None for a window that is not among these."""
        if not 0 <= window - self.first < self.size:
            return None
        return int(unpermute(np.array([window - self.first], dtype=np.int64), self.size, self.key)[0])


@dataclass(frozen=True)
class _Joined:
    """What is left of an epoch from its position `seen` on, and windows that came since."""

    old: _Permuted | _Joined
    seen: int
    left: int
    new: _Permuted

    def windows(self, start: int, stop: int) -> Integers:
        if not self.left:
            return self.new.windows(start, stop)
        which, entries = interleave(np.array([self.left, self.new.size]), _MIDDLE, start, stop)
        found = np.empty(len(which), dtype=np.int64)
        for number, part, shift in ((0, self.old, self.seen), (1, self.new, 0)):
            mine = which == number
            if mine.any():
                first, last = int(entries[mine][0]), int(entries[mine][-1])
                found[mine] = part.windows(shift + first, shift + last + 1)
        return found

    def position(self, window: int) -> int | None:
        """The inverse of `windows`; None for a window that is not among these, or was before them."""
        number, entry = 1, self.new.position(window)
        if entry is None:
            number, entry = 0, self.old.position(window)
            if entry is None or entry < self.seen:
                return None
            entry -= self.seen
        if not self.left:
            return entry if number else None
        return int(places_of(np.array([self.left, self.new.size]), _MIDDLE, number, np.array([entry]))[0])


@dataclass(frozen=True)
class _Stretch:
    """The samples of one source in one phase: from `place` in an epoch on."""

    seeds: bytes
    name: str
    place: EpochPlace
    epoch: _Permuted | _Joined | None

    def key(self, epoch: int, joined: int | None = None) -> bytes:
        parts = [self.seeds, self.name.encode("utf-8"), struct.pack(">q", epoch)]
        return length_prefixed(*parts, *([] if joined is None else [struct.pack(">q", joined)]))

    def whole(self, epoch: int) -> _Permuted:
        return _Permuted(0, self.place.windows, self.key(epoch))

    def windows(self, start: int, stop: int) -> Integers:
        """Windows of the samples `start` to `stop` of the source in the phase."""
        parts = [np.empty(0, dtype=np.int64)]
        inside = min(stop, self.place.left)
        if start < inside and self.epoch is not None:
            parts.append(self.epoch.windows(self.place.cursor + start, self.place.cursor + inside))
        at = max(start, self.place.left)
        while at < stop:
            turn, offset = divmod(at - self.place.left, self.place.windows)
            end = min(stop, at - offset + self.place.windows)
            parts.append(self.whole(self.place.epoch + 1 + turn).windows(offset, offset + end - at))
            at = end
        return np.concatenate(parts)

    def samples(self, window: int, count: int) -> list[int]:
        """Those of the first `count` samples that are a window, ascending: the inverse of `windows`."""
        found = []
        if self.epoch is not None:
            position = self.epoch.position(window)
            sample = -1 if position is None else position - self.place.cursor
            if 0 <= sample < self.place.left:
                found.append(sample)
        turns = range(max(0, -(-(count - self.place.left) // max(1, self.place.windows))))
        for turn in turns:
            position = self.whole(self.place.epoch + 1 + turn).position(window)
            if position is not None:
                found.append(self.place.left + turn * self.place.windows + position)
        return [sample for sample in found if sample < count]

    def after(self, samples: int, windows: int) -> _Stretch:
        """The same source in the next phase, `samples` later, when it has so many windows."""
        done = self.place.after(samples)
        turned = self.whole(done.epoch) if done.epoch != self.place.epoch else self.epoch
        grown = done.with_windows(windows)
        if windows > done.windows:
            new = windows - done.windows
            if turned is None:
                turned = _Permuted(0, new, self.key(0))
            else:
                added = _Permuted(done.windows, new, self.key(done.epoch, done.windows))
                turned = _Joined(turned, done.cursor, done.left, added)
        return _Stretch(self.seeds, self.name, grown, turned)


class SampleOrder:
    """The samples of a plan under one seed."""

    def __init__(self, plan: MixturePlan, seed: int) -> None:
        """Check the plan.

        Raises:
            ManifestError: the plan contradicts itself.
        """
        seeds = struct.pack(">qq", plan.seed, seed)
        stretches = [_Stretch(seeds, stream.source, EpochPlace(), None) for stream in plan.train]
        taken = windows = np.zeros(len(plan.train), dtype=np.int64)
        self._offsets = source_offsets(plan)
        self._phases: list[tuple[Integers, list[_Stretch]]] = []
        for phase in plan.phases:
            windows = known_windows(plan, phase, windows)
            stretches = [s.after(int(t), int(w)) for s, t, w in zip(stretches, taken, windows, strict=True)]
            self._phases.append((planned_samples(plan, phase), stretches))
            taken = taken_samples(plan, phase)
        self._ends = list(accumulate(phase.samples for phase in plan.phases))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def locate(self, start: int, stop: int) -> Samples:
        """Samples `start` to `stop` (0 ≤ start ≤ stop ≤ len)."""
        sources: list[Integers] = [np.empty(0, dtype=np.int64)]
        windows: list[Integers] = [np.empty(0, dtype=np.int64)]
        begin = 0
        for end, (counts, stretches) in zip(self._ends, self._phases, strict=True):
            low, high = max(start, begin), min(stop, end)
            if low < high:
                there = np.flatnonzero(counts)
                which, entries = interleave(counts[there], self._offsets[there], low - begin, high - begin)
                sources.append(there[which])
                windows.append(_windows([stretches[s] for s in there], which, entries))
            begin = end
        return Samples(np.concatenate(sources), np.concatenate(windows))

    def find(self, source: int, window: int) -> list[int]:
        """The samples that are a window of a source, ascending: the inverse of `locate`, in O(epochs × sources)."""
        found: list[int] = []
        begin = 0
        for end, (counts, stretches) in zip(self._ends, self._phases, strict=True):
            there = np.flatnonzero(counts)
            if counts[source]:
                entries = np.array(stretches[source].samples(window, int(counts[source])), dtype=np.int64)
                own = int(np.searchsorted(there, source))
                places = places_of(counts[there], self._offsets[there], own, entries)
                found += (begin + places[places < end - begin]).tolist()
            begin = end
        return sorted(found)


def _windows(stretches: list[_Stretch], which: Integers, entries: Integers) -> Integers:
    """Windows of consecutive samples; those of one source are consecutive samples of it."""
    found = np.empty(len(which), dtype=np.int64)
    for number, stretch in enumerate(stretches):
        mine = np.flatnonzero(which == number)
        if len(mine):
            found[mine] = stretch.windows(int(entries[mine[0]]), int(entries[mine[-1]]) + 1)
    return found
