"""Locality-sensitive hashing: band keys of signatures, and the pairs that meet under a key.

Two texts become a candidate pair when they agree in all values of at least one band (Indyk and Motwani 1998; Leskovec,
Rajaraman, Ullman, section 3.4). A band key is 64 bits: the band's number in the upper 16, so that bands never meet
each other, and 48 bits of a hash of the band's values; a chance meeting costs one comparison and removes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.dedup.mixing import mix64
from schemas.configs.dedup import Banding

__all__ = ["HASH_BITS", "Meeting", "MeetingPairs", "band_keys", "bands_of", "key_ranges", "pairs_that_meet"]

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

HASH_BITS = 48
_HASH_MASK = np.uint64(2**HASH_BITS - 1)

# Pairs given out at once: 24 bytes each.
_PAIRS_AT_ONCE = 2**20


def band_keys(signatures: U64, banding: Banding) -> U64:
    """The band keys of signatures: shape (texts, permutations) in, (texts, bands) out."""
    used = signatures[:, : banding.bands * banding.rows].reshape(len(signatures), banding.bands, banding.rows)
    hashes = np.zeros(used.shape[:2], dtype=np.uint64)
    for row in range(banding.rows):
        hashes = mix64(hashes ^ used[:, :, row])
    numbers = np.arange(banding.bands, dtype=np.uint64) << np.uint64(HASH_BITS)
    return numbers | (hashes & _HASH_MASK)


def bands_of(keys: U64) -> NDArray[np.int32]:
    """The band number in each key."""
    return (keys >> np.uint64(HASH_BITS)).astype(np.int32)


def key_ranges(keys: U64, ranges: int) -> I64:
    """Which of `ranges` (a power of two) equal ranges of the hash each key falls in."""
    return ((keys & _HASH_MASK) * np.uint64(ranges) >> np.uint64(HASH_BITS)).astype(np.int64)


class Meeting(NamedTuple):
    """Texts under their band keys, one row per (text, band); all columns have the same length.

    Attributes:
        key: the band key.
        order: position of the text's partition in partition order.
        shingles: how many distinct ones the text has.
        set_hash: of the set of its shingles, equal for equal sets.
        content: shape (rows, 2), the content hash as two big-endian words.
        document: shape (rows, 2), the document id in the same form.
    """

    key: U64
    order: I64
    shingles: I64
    set_hash: U64
    content: U64
    document: U64

    def take(self, rows: I64) -> Meeting:
        """Some of the rows."""
        columns = (self.shingles[rows], self.set_hash[rows], self.content[rows], self.document[rows])
        return Meeting(self.key[rows], self.order[rows], *columns)


class MeetingPairs(NamedTuple):
    """Rows of a `Meeting` to compare; `lower` ranks after `higher`."""

    lower: I64
    higher: I64


def _starts(*columns: U64 | I64) -> NDArray[np.bool_]:
    """True where a row differs from the row before it in any of the columns."""
    changed = np.zeros(len(columns[0]), dtype=bool)
    changed[:1] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return changed


def _rows_that_can_meet(meeting: Meeting, position: int) -> I64:
    """Rows whose key has another row, and one of the partition at `position` among all."""
    by_key = np.argsort(meeting.key, kind="stable")
    runs = np.flatnonzero(_starts(meeting.key[by_key]))
    sizes = np.diff(runs, append=len(by_key))
    wanted = (sizes > 1) & np.logical_or.reduceat(meeting.order[by_key] == position, runs)
    return by_key[np.repeat(wanted, sizes)]


def _in_rank_order(meeting: Meeting) -> I64:
    """One row per (key, content), by key and then by rank.

    Equal texts have equal signatures and meet under all their keys, so the first in rank of those that meet here is
    the first in rank of all.
    """
    content, document = meeting.content, meeting.document
    copies = np.lexsort((document[:, 1], document[:, 0], meeting.order, content[:, 1], content[:, 0], meeting.key))
    first = copies[_starts(meeting.key[copies], content[copies, 0], content[copies, 1])]
    found = meeting.take(first)
    return first[np.lexsort((found.content[:, 1], found.content[:, 0], found.order, found.key))]


def _partners(meeting: Meeting, max_bucket: int) -> tuple[NDArray[np.bool_], I64]:
    """Which rows, in rank order under each key, others may be paired with, and by row that of its own set of shingles.

    All rows of a bucket of up to `max_bucket`, each its own; of a larger one the first of each set of shingles.
    """
    rows = np.arange(len(meeting.key))
    run = np.cumsum(_starts(meeting.key)) - 1
    large = np.bincount(run)[run] > max_bucket
    # One pass over the rows of large buckets: those of equal sets side by side, the first of each in rank first.
    inside = rows[large]
    by_set = inside[np.lexsort((inside, meeting.set_hash[inside], run[inside]))]
    heads = _starts(run[by_set], meeting.set_hash[by_set])
    first = rows.copy()
    first[by_set] = by_set[heads][np.cumsum(heads) - 1]
    return first == rows, first


def pairs_that_meet(
    meeting: Meeting, position: int, max_bucket: int, threshold: float
) -> tuple[int, Iterator[MeetingPairs]]:
    """The pairs to compare among texts that meet, each with a text of one partition as the lower-ranked one.

    Rank is (order, content hash, document id). Equal texts are represented by the first of them in rank. Under one key
    a text is paired with all that rank above it, and where more than `max_bucket` texts meet, with the `max_bucket`
    highest-ranked ones of different sets of shingles and with the first that has its own set. So the work grows with
    the texts, not with their square, and texts of equal sets crowd nobody out: a text that is like one of them is like
    all. Pairs whose numbers of shingles alone rule out the threshold are left away.

    Args:
        meeting: texts of the partition at `position` and of those before it.
        position: of the partition that pairs are looked for.
        max_bucket: the largest bucket in which all texts are compared.
        threshold: similarity from which on a pair is looked for.

    Returns:
        How many pairs of a text and a set under a key were left out because of `max_bucket` (a pair may still meet
        under another key), and the pairs in portions; a pair that meets under several keys is given for each of them.
    """
    if len(meeting.key) == 0:
        return 0, iter(())
    rows = _rows_that_can_meet(meeting, position)
    rows = rows[_in_rank_order(meeting.take(rows))]
    if len(rows) == 0:
        return 0, iter(())
    found = meeting.take(rows)
    listed, own = _partners(found, max_bucket)
    before: I64 = np.cumsum(listed) - listed
    starts = np.flatnonzero(_starts(found.key))
    first: I64 = np.repeat(before[starts], np.diff(starts, append=len(rows)))
    above = np.where(found.order == position, before - first, 0)  # partners that rank above, by row
    taken = np.minimum(above, max_bucket)
    beyond = np.flatnonzero(~listed & (found.order == position) & (before[own] - first >= max_bucket))
    pairs = _portions(np.flatnonzero(listed), first, taken)
    portions = itertools.chain(pairs, [MeetingPairs(beyond, own[beyond])])
    return int((above - taken).sum()) - len(beyond), _alike_in_size(portions, rows, found.shingles, threshold)


def _alike_in_size(
    portions: Iterable[MeetingPairs], rows: I64, shingles: I64, threshold: float
) -> Iterator[MeetingPairs]:
    """Pairs as rows of the meeting, where the smaller set is at least `threshold` of the larger."""
    for lower, higher in portions:
        one, other = shingles[lower], shingles[higher]
        wanted = np.minimum(one, other) / np.maximum(one, other) >= threshold
        if wanted.any():
            yield MeetingPairs(rows[lower[wanted]], rows[higher[wanted]])


def _portions(listed: I64, first: I64, taken: I64) -> Iterator[MeetingPairs]:
    """By row, its pairs with `taken` entries of `listed` from `first` on."""
    ends = np.cumsum(taken)
    start = 0
    while start < len(taken):
        given = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, given + _PAIRS_AT_ONCE, side="right")))
        counts = taken[start:stop]
        lower = np.repeat(np.arange(start, stop), counts)
        within = np.arange(len(lower)) - np.repeat(np.cumsum(counts) - counts, counts)
        yield MeetingPairs(lower, listed[first[lower] + within])
        start = stop
