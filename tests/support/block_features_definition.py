"""Features of blocks by their definition, with whole arrays and one text after another: equal to the last bit."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from block_definition import DefinedBlocks
from numpy.typing import NDArray

from pipelines.cleaning.main_text.block_texts import CAPTION_WORDS, FRAME_WORDS, LEADS
from pipelines.cleaning.main_text.element_marks import MARK_BITS, MARKS
from pipelines.cleaning.main_text.features import TAG_CLASSES
from pipelines.cleaning.main_text.model import MainTextModel, logistic

__all__ = ["DefinedFeatures", "defined_main_text", "text_counts"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff]")
_PUNCTUATION = re.compile("[.,;:!?…。，、！？؟।]")
_OTHER_TAG = 9
_SAME_START = 80


def text_counts(text: str) -> list[float]:
    """A column of `BlockTexts`."""
    lowered = text.lower()
    return [
        len(text),
        text.count(" ") + 1 + len(_UNSPACED.findall(text)) / 2,
        len(_PUNCTUATION.findall(text)),
        text[-1] in ".!?\"”’':…。！？)",
        len(lowered) <= 200 and any(word in lowered for word in FRAME_WORDS),
        len(lowered) <= 600 and any(word in lowered for word in CAPTION_WORDS),
        lowered.startswith(LEADS),
        text[:_SAME_START].isupper(),
    ]


def _subtree_sums(parents: Sequence[int], elements: I64, weights: F64) -> F64:
    """By element, the weights of all blocks in it and below."""
    sums = np.bincount(elements, weights, minlength=len(parents)).tolist()
    for number in range(len(parents) - 1, 0, -1):
        parent = parents[number]
        if parent >= 0:
            sums[parent] += sums[number]
    return np.array(sums)


def _inherited_marks(blocks: DefinedBlocks, elements: I64, own_text: F64) -> I64:
    """By block, the marks of all elements around it.

    An element that holds most of the page's text is not what its name says, a comment section apart: a page may be one
    big "sidebar-layout".
    """
    held = _subtree_sums(blocks.parents, elements, own_text)
    marks = np.array(blocks.marks, dtype=np.int64)
    named = MARK_BITS["article-body"] - 2  # all names but "text"
    aside = MARK_BITS["aside-tag"]
    most, nearly_all = held > 0.5 * held[0], held > 0.9 * held[0]
    marks[most] &= ~(named | aside) | MARK_BITS["comment"]
    marks[nearly_all] &= ~MARK_BITS["comment"]
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


class DefinedFeatures:
    """What both regressions see of a page with one block at least."""

    def __init__(self, blocks: DefinedBlocks) -> None:
        self._blocks = blocks
        self.links, self.elements = np.array(blocks.links), np.array(blocks.elements)
        counts = np.array([text_counts(text) for text in blocks.texts], dtype=float).T
        self.sizes, words, punctuation, ends, framed, captions, leads, shouts = counts
        links, sizes, count = self.links, self.sizes, len(blocks.texts)
        tags = np.zeros((count, _OTHER_TAG + 1))
        tags[range(count), [TAG_CLASSES.get(blocks.tags[element], _OTHER_TAG) for element in blocks.elements]] = 1
        marks = _inherited_marks(blocks, self.elements, sizes * (1 - links))
        marked = (marks[:, None] >> np.arange(len(MARKS)) & 1).astype(float)
        self.repeats = _repeats(blocks.texts, marked[:, MARKS.index("table-tag")] > 0)
        log, all_link = np.log1p(sizes), (links > 0.9).astype(float)
        prose = sizes * (1 - links) * (ends * 0.8 + 0.2) * (words > 6)
        parents = np.array(blocks.parents)[self.elements]
        beside = np.bincount(np.maximum(parents, 0), prose)[np.maximum(parents, 0)]
        before, total = np.cumsum(prose) - prose, prose.sum() + 1
        place = np.arange(count) / count
        columns = [
            np.ones(count), log, log**2 / 10, links, links * log, ends, ends * log,
            np.minimum(punctuation / np.maximum(1, words), 0.5), np.log1p(punctuation), tags, marked, marks > 0,
            place, (place - 0.5) ** 2, framed, self.repeats, np.log1p(beside), beside / total, before / total,
            before / total >= 0.98, *_neighbours(np.log1p(prose)), *_neighbours(links), *_neighbours(log),
            words < 4, (words < 8) * (1 - ends), captions, captions * log, leads, shouts, all_link,
            all_link * log,
        ]  # fmt: skip
        self.rows = np.column_stack(columns).astype(float, copy=False)

    def context(self, likely: F64) -> F64:
        """What the model sees when it has judged each block: how likely its surroundings are."""
        blocks, first = self._blocks, self
        elements, parents = first.elements, np.maximum(np.array(blocks.parents), 0)
        worth = likely * first.sizes * (1 - first.links)
        held = _subtree_sums(blocks.parents, elements, worth)
        size = _subtree_sums(blocks.parents, elements, first.sizes) + 1
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


def _smoothed(values: F64, reach: int) -> F64:
    window = 2 * reach + 1
    if len(values) <= window:
        return np.full(len(values), values.mean())
    return np.convolve(values, np.full(window, 1 / window), "same")


def _main_element(blocks: DefinedBlocks, held: F64) -> int:
    """The deepest element that holds three fifths of what looks like text."""
    main = 0
    for number in range(1, len(blocks.parents)):
        if blocks.parents[number] == main and held[number] >= 0.6 * held[0]:
            main = number
    return main


def defined_main_text(blocks: DefinedBlocks, model: MainTextModel) -> str:
    """The main text, one line a block."""
    if not blocks.texts:
        return ""
    features = DefinedFeatures(blocks)
    likely = logistic(features.rows @ model.first)
    judged = np.round(logistic(features.context(likely) @ model.second), 6)
    kept: list[str] = []
    for place in np.flatnonzero(judged > model.threshold).tolist():
        text = blocks.texts[place]
        if not (features.repeats[place] and text[:_SAME_START] in {one[:_SAME_START] for one in kept}):
            kept.append(text)
    return "\n".join(kept)
