"""Several sequences as one, each spread evenly over it: any stretch is found without what comes before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["counts_before", "interleave", "places_of"]

Integers = NDArray[np.int64]


def _around(counts: Integers, offsets: NDArray[np.float64], start: int, stop: int) -> tuple[Integers, Integers, int]:
    """Candidates for entries `start` to `stop`, in order, and the number of the first of them."""
    exact = [int(count) for count in counts]  # products of two counts overflow int64
    total, slack = sum(exact), len(exact)
    first = [max(0, count * (start - slack) // total - 2) for count in exact]
    last = [min(count, count * (stop + slack) // total + 3) for count in exact]
    sources = np.concatenate([np.full(b - a, s) for s, (a, b) in enumerate(zip(first, last, strict=True))])
    entries = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
    times = (entries + offsets[sources]) / counts[sources]
    order = np.lexsort((entries, sources, times))
    return sources[order], entries[order], sum(first)


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
    sources, entries, before = _around(counts, offsets, start, stop)
    return sources[start - before : stop - before], entries[start - before : stop - before]


def counts_before(counts: Integers, offsets: NDArray[np.float64], stop: int) -> Integers:
    """How many of the first `stop` entries of that sequence come from each source."""
    if stop == counts.sum():
        return counts.copy()
    sources, entries, before = _around(counts, offsets, stop, stop)
    # A source that no candidate before `stop` is of has given all its entries below the first candidate.
    found = np.array([entries[sources == s].min(initial=counts[s]) for s in range(len(counts))], dtype=np.int64)
    return found + np.bincount(sources[: stop - before], minlength=len(counts))


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
