r"""Compiled loops over a text's code points: where its words are, which are equal, which runs of them repeat.

Equality is that of the code points, never of hashes alone. What a word is stands in `pipelines.cleaning.words`.
Everything that is compiled lies in this file, constants too (see `pipelines.engine.compiled`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.engine.compiled import compiled, inlined

__all__ = ["ALPHABETIC", "FIRST", "INSIDE", "LINK", "number_words", "repeated_runs", "word_bounds"]

U32 = NDArray[np.uint32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Number = int | np.int64

# Bits of a code point's class: it can begin a word; it can go on with one; it can stand between two that can; it is a
# letter.
FIRST, INSIDE, LINK, ALPHABETIC = 1, 2, 4, 8
_FACTOR, _SHIFT = np.uint64(0x9FB21C651E98DF25), np.uint64(32)


@compiled
def word_bounds(codes: U32, classes: Bytes) -> tuple[I32, I32, int]:
    """First code point of each word and the one behind its last; how many of the words have a letter in them."""
    starts = np.empty((len(codes) + 1) // 2, dtype=np.int32)
    ends = np.empty((len(codes) + 1) // 2, dtype=np.int32)
    count = alphabetic = place = 0
    while place < len(codes):
        found = classes[codes[place]]
        if found & FIRST == 0:
            place += 1
            continue
        starts[count] = place
        seen = found
        place += 1
        while place < len(codes):
            found = classes[codes[place]]
            linked = found & LINK != 0 and place + 1 < len(codes) and classes[codes[place + 1]] & INSIDE != 0
            if found & INSIDE == 0 and not linked:
                break
            seen |= found
            place += 1
        ends[count] = place
        count += 1
        alphabetic += seen & ALPHABETIC != 0
    return starts[:count].copy(), ends[:count].copy(), alphabetic


@inlined
def _hash(codes: U32, start: Number, end: Number, seed: np.uint64) -> np.uint64:
    value = seed
    for place in range(start, end):
        value = (value ^ np.uint64(codes[place])) * _FACTOR
        value ^= value >> _SHIFT
    return value


@inlined
def _equal(codes: U32, one: Number, other: Number, length: Number) -> bool:
    offset = 0
    while offset < length and codes[one + offset] == codes[other + offset]:
        offset += 1
    return offset == length


@inlined
def _table(entries: Number) -> I32:
    """An open table with room for twice as many entries."""
    size = 4
    while size < 2 * entries:
        size *= 2
    return np.full(size, -1, dtype=np.int32)


@compiled
def number_words(codes: U32, starts: I32, ends: I32, seed: np.uint64) -> tuple[I32, I32]:
    """A number for each word, equal for equal words, counted from 0; and the first word of each number."""
    numbers = np.empty(len(starts), dtype=np.int32)
    firsts = np.empty(len(starts), dtype=np.int32)
    table = _table(len(starts))  # numbers, by hash
    mask = np.uint64(len(table) - 1)
    count = 0
    for word in range(len(starts)):
        start, length = starts[word], ends[word] - starts[word]
        slot = _hash(codes, start, ends[word], seed) & mask
        while table[slot] >= 0:
            first = firsts[table[slot]]
            if ends[first] - starts[first] == length and _equal(codes, starts[first], start, length):
                break
            slot = (slot + np.uint64(1)) & mask
        if table[slot] < 0:
            table[slot] = count
            firsts[count] = word
            count += 1
        numbers[word] = table[slot]
    return numbers, firsts[:count].copy()


@inlined
def _number_pairs(group_at: I32, starts: I32, kept: Number, groups: I32, table: I32, seed: np.uint64) -> int:
    """Numbers for the pairs of neighbouring groups that begin at the first `kept` of `starts`; how many there are."""
    size = 4
    while size < 2 * kept:
        size *= 2
    table[:size] = -1
    mask = np.uint64(size - 1)
    count = 0
    for place in range(kept):
        one, other = group_at[starts[place]], group_at[starts[place] + 1]
        value = (seed ^ np.uint64(one)) * _FACTOR
        value = ((value ^ (value >> _SHIFT)) ^ np.uint64(other)) * _FACTOR
        slot = (value ^ (value >> _SHIFT)) & mask
        while table[slot] >= 0:
            same = table[slot]
            if group_at[starts[same]] == one and group_at[starts[same] + 1] == other:
                break
            slot = (slot + np.uint64(1)) & mask
        if table[slot] < 0:
            table[slot] = place
            groups[place] = count
            count += 1
        else:
            groups[place] = groups[table[slot]]
    return count


@inlined
def _keep_repeated(group_at: I32, starts: I32, kept: Number, groups: I32, counts: I32) -> int:
    """Move what comes more than once to the front, and its groups into `group_at`; how many are left."""
    left = 0
    for place in range(kept):
        if counts[groups[place]] > 1:
            group_at[starts[place]] = groups[place]
            starts[left], groups[left] = starts[place], groups[place]
            left += 1
    return left


@inlined
def _measure(n: Number, starts: I32, kept: Number, groups: I32, counts: I32, sums: I64, out: I64) -> None:
    seen = np.zeros(len(counts), dtype=np.uint8)
    past = 0
    for place in range(kept):
        start, group = starts[place], groups[place]
        if counts[group] > out[0]:
            out[0], out[1] = counts[group], start
        characters = sums[start + n] - sums[start]
        out[3] += characters
        if start >= past:
            if seen[group]:
                out[2] += characters
                past = start + n
            seen[group] = 1


@compiled
def repeated_runs(numbers: I32, sums: I64, longest: int, seed: np.uint64) -> I64:
    """What runs of words there are that come more than once, for all lengths up to `longest` words.

    A run can only repeat where both runs in it that are a word shorter repeat, so each length looks at what the one
    before left: in an ordinary text half of the words, a tenth of the pairs, and nearly nothing from four words on.

    Args:
        numbers: a number for each word, equal for equal words and below the number of words.
        sums: characters of all words before each, and of all at the end.
        longest: at least 1.
        seed: of the hashes, on which nothing that is given back depends.

    Returns:
        By length, 0 unused: how often the most frequent run comes (1 where none comes twice), and its first word, of
        several the first one's; the characters of later copies that reading from left to right finds, on from behind
        each; the characters of all copies, overlapping ones too.
    """
    out = np.zeros((longest + 1, 4), dtype=np.int64)
    out[:, 0] = 1
    words = len(numbers)
    group_at = np.full(words + 1, -1, dtype=np.int32)
    starts, groups = np.arange(words).astype(np.int32), numbers.copy()
    longer = np.empty(words, dtype=np.int32)
    table = _table(words)
    kept, count = words, words
    for n in range(1, longest + 1):
        if n > 1:
            shorter = kept
            kept = 0
            for place in range(shorter):
                longer[kept] = starts[place]
                kept += group_at[starts[place] + 1] >= 0
            count = _number_pairs(group_at, longer, kept, groups, table, seed)
            for place in range(shorter):
                group_at[starts[place]] = -1
            starts, longer = longer, starts
        counts = np.zeros(count, dtype=np.int32)
        for place in range(kept):
            counts[groups[place]] += 1
        kept = _keep_repeated(group_at, starts, kept, groups, counts)
        if kept == 0:
            break
        _measure(n, starts, kept, groups, counts, sums, out[n])
    return out
