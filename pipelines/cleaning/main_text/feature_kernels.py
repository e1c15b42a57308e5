"""Compiled: the tree around blocks, and the rows that the two regressions see.

Everything that is compiled together lies in this file, constants too (see `pipelines/engine/compiled.py`). Sums and
products are those of NumPy, in its order, so that rows are equal to the last bit to what whole arrays would give;
logarithms and exponentials are NumPy's own and come in as arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.engine.compiled import compiled, inlined

__all__ = ["CONTEXT_COLUMNS", "context_rows", "first_rows", "surroundings"]

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Number = int | np.int64

CONTEXT_COLUMNS = 17
_SIZES, _WORDS, _PUNCTUATION, _ENDS, _FRAMED, _CAPTIONS, _LEADS, _SHOUTS = range(8)


@inlined
def _sums(parents: I64, elements: I64, weights: F64) -> F64:
    sums = np.zeros(len(parents))
    for block in range(len(elements)):
        sums[elements[block]] += weights[block]
    for number in range(len(parents) - 1, 0, -1):
        if parents[number] >= 0:
            sums[parents[number]] += sums[number]
    return sums


@inlined
def _inherited(parents: I64, marks: I64, held: F64, doubtful: Number, comment: Number) -> I64:
    """By element, its marks and those of all elements around it.

    An element that holds most of the page's text is not what its name says, a comment section apart: a page may be one
    big "sidebar-layout".
    """
    kept = marks.copy()
    for number in range(len(parents)):
        if held[number] > 0.9 * held[0]:
            kept[number] &= ~(doubtful | comment)
        elif held[number] > 0.5 * held[0]:
            kept[number] &= ~doubtful | comment
        if parents[number] >= 0:
            kept[number] |= kept[parents[number]]
    return kept


@compiled
def surroundings(
    counts: F64, links: F64, elements: I64, parents: I64, marks: I64, doubtful: int, comment: int
) -> tuple[F64, F64, I64]:
    """Prose of blocks and around them, prose before them, and the marks of all elements around them.

    Args:
        counts: of texts, COUNTS × blocks.
        links: of blocks, the share of characters that are links.
        elements: of blocks.
        parents: of elements.
        marks: of elements.
        doubtful: marks that an element does not keep that holds most of the text.
        comment: the one of these that it keeps if it does not hold nearly all.

    Returns:
        sizes, punctuation, prose in the element around the block's own, and prose, 4 × blocks; prose before; marks.
    """
    blocks = len(links)
    amounts, before, text, around = np.empty((4, blocks)), np.empty(blocks), np.empty(blocks), np.zeros(len(parents))
    so_far = 0.0
    for block in range(blocks):
        size, ends = counts[_SIZES, block], counts[_ENDS, block]
        text[block] = size * (1 - links[block])
        prose = text[block] * (ends * 0.8 + 0.2) * (counts[_WORDS, block] > 6)
        amounts[0, block], amounts[1, block], amounts[3, block] = size, counts[_PUNCTUATION, block], prose
        around[max(parents[elements[block]], 0)] += prose
        so_far += prose
        before[block] = so_far - prose
    for block in range(blocks):
        amounts[2, block] = around[max(parents[elements[block]], 0)]
    return amounts, before, _inherited(parents, marks, _sums(parents, elements, text), doubtful, comment)[elements]


@inlined
def _repeats(alike: I64, marks: I64, table: Number) -> F64:
    """1 for a block that starts as an earlier one did; cells of tables may."""
    repeats, seen = np.zeros(len(alike)), np.zeros(len(alike), dtype=np.bool_)
    for block in range(len(alike)):
        if alike[block] >= 0 and marks[block] & table == 0:
            repeats[block] = seen[alike[block]]
            seen[alike[block]] = True
    return repeats


@inlined
def _beside(rows: F64, column: Number, values: F64) -> Number:
    """The values of the neighbours before and behind, and the means of the two that follow them; the next column."""
    count = len(values)
    for block in range(count):
        before = values[block - 1] if block > 0 else 0.0
        behind = values[block + 1] if block + 1 < count else 0.0
        far_before = values[block - 2] if block > 1 else 0.0
        far_before += values[block - 3] if block > 2 else 0.0
        far_behind = values[block + 2] if block + 2 < count else 0.0
        far_behind += values[block + 3] if block + 3 < count else 0.0
        rows[block, column], rows[block, column + 1] = before, behind
        rows[block, column + 2], rows[block, column + 3] = far_before / 2, far_behind / 2
    return column + 4


@compiled
def first_rows(
    counts: F64, links: F64, amounts: F64, logs: F64, before: F64, total: float, tags: I64, marks: I64, alike: I64,
    tag_classes: int, mark_bits: int, table: int,
) -> tuple[F64, F64]:  # fmt: skip
    """The rows of the first regression, blocks × features, and which blocks repeat.

    Args:
        counts: of texts, COUNTS × blocks.
        links: of blocks, the share of characters that are links.
        amounts: from `surroundings`, as `before` and `marks`.
        logs: log(1 + x) of these.
        before: prose before the block.
        total: prose of the page, and 1.
        tags: of blocks, the classes of their tags.
        marks: of blocks.
        alike: the first block that starts alike.
        tag_classes: how many.
        mark_bits: how many.
        table: the mark of tables.
    """
    count, repeats = len(links), _repeats(alike, marks, table)
    of_tags, of_marks = 9, 9 + tag_classes
    of_place = of_marks + mark_bits
    of_words = of_place + 9 + 3 * 4
    rows = np.zeros((count, of_words + 8))
    for row in range(count):
        log, ends, words, link = logs[0, row], counts[_ENDS, row], counts[_WORDS, row], links[row]
        rows[row, 0], rows[row, 1], rows[row, 2], rows[row, 3], rows[row, 4] = 1, log, log * log / 10, link, link * log
        rows[row, 5], rows[row, 6], rows[row, 8] = ends, ends * log, logs[1, row]
        rows[row, 7] = min(counts[_PUNCTUATION, row] / max(1.0, words), 0.5)
        rows[row, of_tags + tags[row]] = 1
        for bit in range(mark_bits):
            rows[row, of_marks + bit] = marks[row] >> bit & 1
        at, place, passed = of_place, row / count, before[row] / total
        rows[row, at], rows[row, at + 1], rows[row, at + 2] = marks[row] > 0, place, (place - 0.5) * (place - 0.5)
        rows[row, at + 3], rows[row, at + 4], rows[row, at + 5] = counts[_FRAMED, row], repeats[row], logs[2, row]
        rows[row, at + 6], rows[row, at + 7], rows[row, at + 8] = amounts[2, row] / total, passed, passed >= 0.98
        at, caption, all_link = of_words, counts[_CAPTIONS, row], 1.0 if link > 0.9 else 0.0
        rows[row, at], rows[row, at + 1], rows[row, at + 2] = words < 4, (words < 8) * (1 - ends), caption
        rows[row, at + 3], rows[row, at + 4] = caption * log, counts[_LEADS, row]
        rows[row, at + 5], rows[row, at + 6], rows[row, at + 7] = counts[_SHOUTS, row], all_link, all_link * log
    _beside(rows, _beside(rows, _beside(rows, of_place + 9, logs[3]), links), logs[0])
    return rows, repeats


@inlined
def _main_element(parents: I64, held: F64) -> Number:
    """The deepest element that holds three fifths of what looks like text."""
    main = 0
    for number in range(1, len(parents)):
        if parents[number] == main and held[number] >= 0.6 * held[0]:
            main = number
    return main


@compiled
def context_rows(
    first: F64, parents: I64, elements: I64, sizes: F64, worth: F64, total: float, likely: F64, odds: F64, smoothed: F64
) -> F64:
    """The rows of the second regression, blocks × features.

    Args:
        first: rows of the first one.
        parents: of elements.
        elements: of blocks.
        sizes: of blocks, as what follows.
        worth: characters that are no links, times how likely they are.
        total: their sum.
        likely: the first judgement.
        odds: its logarithm.
        smoothed: the means of `likely` over three widths; 3 × blocks.
    """
    count, columns = first.shape
    held, size = _sums(parents, elements, worth), _sums(parents, elements, sizes) + 1
    main = _main_element(parents, held)
    within = np.zeros(len(parents))
    within[main] = 1
    for number in range(main + 1, len(parents)):
        within[number] = within[parents[number]] if parents[number] >= 0 else 0
    start, end = 0, count
    strong = np.flatnonzero(likely > 0.5)
    if len(strong) > 0:
        start, end = strong[0], strong[-1]
    rows = np.empty((count, CONTEXT_COLUMNS + columns - 1))
    for row in range(count):
        element = elements[row]
        above, inside = max(parents[element], 0), within[element]
        next_above = max(parents[above], 0)
        rows[row, 0], rows[row, 1], rows[row, 2], rows[row, 3] = 1, odds[row], likely[row], inside
        rows[row, 4], rows[row, 5] = main in (above, element), held[above] / total
        rows[row, 6], rows[row, 7] = held[next_above] / total, held[above] / size[above]
        rows[row, 8], rows[row, 9] = held[next_above] / size[next_above], held[element] / total
        rows[row, 10], rows[row, 11], rows[row, 12] = row < start, row > end, smoothed[0, row]
        rows[row, 13], rows[row, 14] = smoothed[1, row], smoothed[2, row]
        rows[row, 15], rows[row, 16] = odds[row] * inside, inside * first[row, 1]
        for column in range(1, columns):
            rows[row, CONTEXT_COLUMNS - 1 + column] = first[row, column]
    return rows
