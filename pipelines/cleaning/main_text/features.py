"""What the model sees of each block: the text, its links, where it lies, what surrounds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.cleaning.main_text.block_texts import look_at
from pipelines.cleaning.main_text.page_blocks import MARKS, PageBlocks

__all__ = ["BlockFeatures", "block_features", "context_features", "subtree_sums"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_TAG_CLASSES = {
    "p": 0,
    "li": 1,
    "h1": 2,
    "h2": 3,
    "h3": 3,
    "h4": 4,
    "h5": 4,
    "h6": 4,
    "td": 5,
    "th": 5,
    "dd": 5,
    "dt": 5,
    "pre": 6,
    "blockquote": 7,
    "figure": 8,
}
_OTHER_TAG = 9
_SAME_START = 80
_COMMENT = 1 << MARKS.index("comment")
_TABLE = MARKS.index("table-tag")


def subtree_sums(parents: list[int], elements: I64, weights: F64) -> F64:
    """By element, the weights of all blocks in it and below."""
    sums = np.bincount(elements, weights, minlength=len(parents)).tolist()
    for number in range(len(parents) - 1, 0, -1):
        parent = parents[number]
        if parent >= 0:
            sums[parent] += sums[number]
    return np.array(sums)


def _inherited_marks(blocks: PageBlocks, elements: I64, own_text: F64) -> I64:
    """By block, the marks of all elements around it.

    An element that holds most of the page's text is not what its name says, a comment section apart: a page may be one
    big "sidebar-layout".
    """
    held = subtree_sums(blocks.parents, elements, own_text)
    marks = np.array(blocks.marks, dtype=np.int64)
    named = (1 << MARKS.index("article-body")) - 2  # all names but "text"
    aside = 1 << MARKS.index("aside-tag")
    most, nearly_all = held > 0.5 * held[0], held > 0.9 * held[0]
    marks[most] &= ~(named | aside) | _COMMENT
    marks[nearly_all] &= ~_COMMENT
    inherited = marks.tolist()
    for number, parent in enumerate(blocks.parents):
        if parent >= 0:
            inherited[number] |= inherited[parent]
    return np.array(inherited, dtype=np.int64)[elements]


def _repeats(texts: list[str], in_table: NDArray[np.bool_]) -> F64:
    """1 for a block that starts as an earlier one did; cells of tables may."""
    seen: set[str] = set()
    repeats = np.zeros(len(texts))
    for place, text in enumerate(texts):
        if len(text) >= _SAME_START and not in_table[place]:
            start = text[:_SAME_START]
            repeats[place] = start in seen
            seen.add(start)
    return repeats


def _shifted(values: F64, by: int) -> F64:
    result = np.zeros(len(values))
    if by > 0:
        result[by:] = values[:-by]
    else:
        result[:by] = values[-by:]
    return result


def _neighbours(values: F64) -> list[F64]:
    return [
        _shifted(values, 1),
        _shifted(values, -1),
        (_shifted(values, 2) + _shifted(values, 3)) / 2,
        (_shifted(values, -2) + _shifted(values, -3)) / 2,
    ]


@dataclass(frozen=True)
class BlockFeatures:
    """Of a page with n blocks.

    Attributes:
        rows: n × features.
        repeats: n, 1 where an earlier block starts alike.
        elements: n.
        sizes: n, characters.
        links: n, share of them that are links.
    """

    rows: F64
    repeats: F64
    elements: I64
    sizes: F64
    links: F64


def block_features(blocks: PageBlocks) -> BlockFeatures:
    """What the model sees at first; a page has one block at least."""
    texts, count = blocks.texts, len(blocks.texts)
    seen = look_at(texts)
    sizes, words, punctuation, ends = seen.sizes, seen.words, seen.punctuation, seen.ends
    links, elements = np.array(blocks.links), np.array(blocks.elements)
    tags = np.zeros((count, _OTHER_TAG + 1))
    tags[range(count), [_TAG_CLASSES.get(blocks.tags[element], _OTHER_TAG) for element in blocks.elements]] = 1
    marks = _inherited_marks(blocks, elements, sizes * (1 - links))
    marked = (marks[:, None] >> np.arange(len(MARKS)) & 1).astype(float)
    repeats = _repeats(texts, marked[:, _TABLE] > 0)
    log, all_link = np.log1p(sizes), (links > 0.9).astype(float)
    prose = sizes * (1 - links) * (ends * 0.8 + 0.2) * (words > 6)
    parents = np.array(blocks.parents)[elements]
    beside = np.bincount(np.maximum(parents, 0), prose)[np.maximum(parents, 0)]
    before, total = np.cumsum(prose) - prose, prose.sum() + 1
    place = np.arange(count) / count
    columns = [
        np.ones(count), log, log**2 / 10, links, links * log, ends, ends * log,
        np.minimum(punctuation / np.maximum(1, words), 0.5), np.log1p(punctuation), tags, marked, marks > 0,
        place, (place - 0.5) ** 2, seen.framed, repeats, np.log1p(beside), beside / total, before / total,
        before / total >= 0.98, *_neighbours(np.log1p(prose)), *_neighbours(links), *_neighbours(log),
        words < 4, (words < 8) * (1 - ends), seen.captions, seen.captions * log, seen.leads, seen.shouts, all_link,
        all_link * log,
    ]  # fmt: skip
    return BlockFeatures(np.column_stack(columns).astype(float, copy=False), repeats, elements, sizes, links)


def _smoothed(values: F64, reach: int) -> F64:
    window = 2 * reach + 1
    if len(values) <= window:
        return np.full(len(values), values.mean())
    return np.convolve(values, np.full(window, 1 / window), "same")


def _main_element(blocks: PageBlocks, held: F64) -> int:
    """The deepest element that holds three fifths of what looks like text."""
    main = 0
    for number in range(1, len(blocks.parents)):
        if blocks.parents[number] == main and held[number] >= 0.6 * held[0]:
            main = number
    return main


def context_features(blocks: PageBlocks, first: BlockFeatures, likely: F64) -> F64:
    """What the model sees when it has judged each block: how likely its surroundings are.

    Args:
        blocks: the page.
        first: its features.
        likely: n, the first judgement of each block.
    """
    elements, parents = first.elements, np.maximum(np.array(blocks.parents), 0)
    worth = likely * first.sizes * (1 - first.links)
    held = subtree_sums(blocks.parents, elements, worth)
    size = subtree_sums(blocks.parents, elements, first.sizes) + 1
    total = worth.sum() + 1e-9
    main = _main_element(blocks, held)
    within = [number == main for number in range(len(blocks.parents))]
    for number in range(main + 1, len(within)):
        within[number] = within[blocks.parents[number]]
    inside = np.array(within, dtype=float)[elements]
    above, next_above = parents[elements], parents[parents[elements]]
    strong = np.flatnonzero(likely > 0.5)
    start, end = (strong[0], strong[-1]) if len(strong) else (0, len(likely))
    order = np.arange(len(likely))
    odds = np.log((likely + 1e-4) / (1 - likely + 1e-4))
    columns = [
        np.ones(len(likely)), odds, likely, inside, (above == main) | (elements == main), held[above] / total,
        held[next_above] / total, held[above] / size[above], held[next_above] / size[next_above],
        held[elements] / total, order < start, order > end, _smoothed(likely, 1), _smoothed(likely, 2),
        _smoothed(likely, 4), odds * inside, inside * first.rows[:, 1], first.rows[:, 1:],
    ]  # fmt: skip
    return np.column_stack(columns).astype(float, copy=False)
