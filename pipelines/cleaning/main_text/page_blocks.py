"""A page as blocks: runs of text between block-level tags, each with its place in the tree of block elements.

The parser (lexbor, WHATWG HTML) writes its tree out again, and what it writes is well formed whatever the page was: `<`
begins a tag and `>` ends one, since both are escaped in text and in attributes. So the tree is read off that string, by
one compiled loop over its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.cleaning.main_text.byte_automata import WHITE_SPACE, ByteAutomata, WordList, build
from pipelines.cleaning.main_text.element_marks import TAG_MARKS, marks_of
from pipelines.cleaning.main_text.page_kernel import KINDS, LISTS, NUMBER_SHIFT, read_page

__all__ = ["BLOCK_TAGS", "NO_TEXT_TAGS", "UNESCAPED_TAGS", "PageBlocks", "page_blocks", "read_blocks"]

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

# Nothing in these elements is text of the page. What is not written as escaped text or is not HTML is removed by the
# parser, which walks the whole tree once for each name; a caption is about a picture, and the picture is gone.
_TAGS = """
script style noscript svg template iframe math
object button select textarea option head canvas audio video map dialog applet figcaption
xmp plaintext noembed noframes
address article aside blockquote body caption center dd details dir div dl dt fieldset figure footer form frameset h1 \
h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol p pre section summary table tbody td tfoot th thead tr \
ul
"""
_REMOVED, NO_TEXT_TAGS, UNESCAPED_TAGS, BLOCK_TAGS = (line.split() for line in _TAGS.strip().splitlines())
# All that the parser escapes when it writes text.
_ESCAPED = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&nbsp;": " "}
_TAG_MARKS = np.array([TAG_MARKS.get(tag, 0) for tag in BLOCK_TAGS], dtype=np.int64)


@dataclass(frozen=True)
class PageBlocks:
    """The blocks of a page and its tree of block elements; element 0 is the root, parents come before children.

    Attributes:
        content: UTF-8, the texts of all blocks one after another, white space folded.
        ends: blocks + 1, the first 0: block i has the bytes of `content` from `ends[i]` to `ends[i + 1]`.
        links: of each block the share of its characters that are links.
        elements: the block element that it lies in directly.
        parents: of each element its parent; -1 for the root.
        tags: of each element the number of its tag in `BLOCK_TAGS`.
        depth: of the deepest element.
        marks: of each element the bits of `MARKS` that it has by itself.
    """

    content: NDArray[np.uint8]
    ends: I64
    links: F64
    elements: I64
    parents: I64
    tags: I64
    depth: int
    marks: I64

    def __len__(self) -> int:
        return len(self.links)

    def texts(self, blocks: Sequence[int] | None = None) -> list[str]:
        """The texts of these blocks, or of all."""
        content, ends = self.content.tobytes(), self.ends.tolist()
        chosen = range(len(self)) if blocks is None else blocks
        return [content[ends[block] : ends[block + 1]].decode() for block in chosen]


def _tag_words() -> dict[str, int]:
    kinds = {kind: number for number, kind in enumerate(KINDS)}
    words = {"a": kinds["link"], "/a": kinds["link end"], "br": kinds["break"]}
    for number, tag in enumerate((*BLOCK_TAGS, *NO_TEXT_TAGS, *UNESCAPED_TAGS)):
        block = tag in BLOCK_TAGS
        opened = "open" if block else "no text" if tag in NO_TEXT_TAGS else "unescaped"
        words[tag] = number << NUMBER_SHIFT | kinds["rule" if tag == "hr" else opened]  # nothing closes a rule
        words[f"/{tag}"] = number << NUMBER_SHIFT | kinds["close" if block else "other"]
    return words


@cache
def _automata() -> ByteAutomata:
    signs = {**dict.fromkeys(WHITE_SPACE, ord(" ")), **{written: ord(sign) for written, sign in _ESCAPED.items()}}
    words = {
        "tags": WordList(_tag_words(), anywhere=False, same={}),
        "texts": WordList(signs, anywhere=False, same={}),
    }
    return build(*(words[name] for name in LISTS))


@cache
def _signs() -> NDArray[np.uint8]:
    """By byte, what it may be in a text: 0 itself, 1 white space, 2 the first of several that stand for another."""
    signs = np.zeros(256, dtype=np.uint8)
    for written in (*WHITE_SPACE, *_ESCAPED):
        first, *more = written.encode()
        signs[first] = 2 if more else 1
    return signs


def read_blocks(written: str) -> PageBlocks:
    """The blocks of an element that the parser wrote, in order."""
    page = np.frombuffer(written.encode(), dtype=np.uint8)
    read, stated = read_page(page, _signs(), _automata())
    blocks = PageBlocks(*read, marks_of(page, stated))
    blocks.marks[:] |= _TAG_MARKS[blocks.tags]
    return blocks


def page_blocks(tree: Any) -> PageBlocks:
    """The blocks of a parsed page, in order.

    Args:
        tree: a `LexborHTMLParser`, which is changed: what holds no text is removed from it.
    """
    tree.strip_tags(_REMOVED)
    body = tree.body
    return read_blocks("" if body is None else body.html)
