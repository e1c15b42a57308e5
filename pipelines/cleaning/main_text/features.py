"""What the model sees of each block: the text, its links, where it lies, what surrounds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.cleaning.main_text.block_texts import look_at
from pipelines.cleaning.main_text.element_marks import MARK_BITS, MARKS
from pipelines.cleaning.main_text.feature_kernels import context_rows, first_rows, surroundings
from pipelines.cleaning.main_text.page_blocks import BLOCK_TAGS, PageBlocks

__all__ = ["TAG_CLASSES", "BlockFeatures", "block_features", "context_features"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

TAG_CLASSES = {
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
_CLASS_OF_TAG = np.array([TAG_CLASSES.get(tag, _OTHER_TAG) for tag in BLOCK_TAGS], dtype=np.int64)
# An element that holds most of the text keeps no name but "text", and is no aside.
_DOUBTFUL = MARK_BITS["article-body"] - 2 | MARK_BITS["aside-tag"]


@dataclass(frozen=True)
class BlockFeatures:
    """Of a page with n blocks.

    Attributes:
        rows: n × features.
        repeats: n, 1 where an earlier block starts alike.
        alike: n, the first block of the page that starts alike; -1 for a short one.
        sizes: n, characters.
    """

    rows: F64
    repeats: F64
    alike: I64
    sizes: F64


def block_features(blocks: PageBlocks) -> BlockFeatures:
    """What the model sees at first; a page has one block at least."""
    counts, alike = look_at(blocks)
    links, elements = blocks.links, blocks.elements
    amounts, before, marks = surroundings(
        counts, links, elements, blocks.parents, blocks.marks, _DOUBTFUL, MARK_BITS["comment"]
    )
    total, tags = amounts[3].sum() + 1, _CLASS_OF_TAG[blocks.tags[elements]]
    bits = _OTHER_TAG + 1, len(MARKS), MARK_BITS["table-tag"]
    rows, repeats = first_rows(counts, links, amounts, np.log1p(amounts), before, total, tags, marks, alike, *bits)
    return BlockFeatures(rows, repeats, alike, amounts[0])


def _smoothed(values: F64, reach: int) -> F64:
    window = 2 * reach + 1
    if len(values) <= window:
        return np.full(len(values), values.mean())
    return np.convolve(values, np.full(window, 1 / window), "same")


def context_features(blocks: PageBlocks, first: BlockFeatures, likely: F64) -> F64:
    """What the model sees when it has judged each block: how likely its surroundings are; n × features.

    Args:
        blocks: the page.
        first: its features.
        likely: n, the first judgement of each block.
    """
    worth = likely * first.sizes * (1 - blocks.links)
    return context_rows(
        first.rows,
        blocks.parents,
        blocks.elements,
        first.sizes,
        worth,
        worth.sum() + 1e-9,
        likely,
        np.log((likely + 1e-4) / (1 - likely + 1e-4)),
        np.stack([_smoothed(likely, reach) for reach in (1, 2, 4)]),
    )
