"""A page as blocks: runs of text between block-level tags, each with its place in the tree of block elements.

The parser (lexbor, WHATWG HTML) writes its tree out again, and what it writes is well formed whatever the page was: `<`
begins a tag and `>` ends one, since both are escaped in text and in attributes. So the tree is read by cutting that
string: on a page of 150 kB 2.3 ms with all that is done here, where a pattern for tags and attributes took 3.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from pipelines.cleaning.main_text.element_names import NAMED, named_kinds

__all__ = ["MARKS", "PageBlocks", "page_blocks"]

# Nothing in these elements is text of the page. What is not written as escaped text or is not HTML is removed by the
# parser, which walks the whole tree once for each name; a caption is about a picture, and the picture is gone.
_TAGS = """
script style noscript svg template iframe math
object button select textarea option head canvas audio video map dialog applet figcaption
xmp plaintext noembed noframes
b i em strong span font u small sup sub abbr code tt kbd cite q time s del ins big label var img
address article aside blockquote body caption center dd details dir div dl dt fieldset figure footer form frameset h1 \
h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol p pre section summary table tbody td tfoot th thead tr \
ul
"""
# Of the tags inside a line only those are named that come often without attributes, which are known at one look then.
_REMOVED, _NO_TEXT, _UNESCAPED, _INLINE, _BLOCKS = (line.split() for line in _TAGS.strip().splitlines())


class _Kind(IntEnum):
    """What a tag is for the blocks; all others lie inside a line."""

    OTHER = 0
    OPEN = 1
    CLOSE = 2
    LINK = 3
    LINK_END = 4
    BREAK = 5
    NO_TEXT = 6
    UNESCAPED = 7


_KINDS: dict[str, int] = {
    **dict.fromkeys(_INLINE, _Kind.OTHER.value),
    **dict.fromkeys((f"/{tag}" for tag in (*_INLINE, *_NO_TEXT)), _Kind.OTHER.value),
    **dict.fromkeys(_BLOCKS, _Kind.OPEN.value),
    **dict.fromkeys((f"/{tag}" for tag in _BLOCKS), _Kind.CLOSE.value),
    **dict.fromkeys(_NO_TEXT, _Kind.NO_TEXT.value),
    **dict.fromkeys(_UNESCAPED, _Kind.UNESCAPED.value),
    **{"a": _Kind.LINK.value, "/a": _Kind.LINK_END.value, "br": _Kind.BREAK.value},
}
_TAGGED = {
    "nav": "aside-tag",
    "footer": "aside-tag",
    "aside": "aside-tag",
    "article": "article-tag",
    "main": "article-tag",
    "header": "header-tag",
    "figure": "figure-tag",
    "table": "table-tag",
    "form": "form-tag",
}
# Bits of an element's marks, in this order.
MARKS: tuple[str, ...] = (*NAMED, "article-body", *dict.fromkeys(_TAGGED.values()))
_BIT = {name: 1 << place for place, name in enumerate(MARKS)}
_SPEAKING = frozenset({"itemprop", "role", "hidden", "style"})
_FRAME_ROLES = frozenset({"navigation", "complementary", "contentinfo", "banner", "search", "dialog"})


def _stated_marks(stated: dict[str, str]) -> int:
    """What attributes other than names say."""
    if _SPEAKING.isdisjoint(stated):
        return 0
    marks = 0
    if stated.get("itemprop", "").lower() == "articlebody":
        marks |= _BIT["article-body"] | _BIT["text"]
    role = stated.get("role")
    if role in _FRAME_ROLES:
        marks |= _BIT["frame"]
    elif role in ("main", "article"):
        marks |= _BIT["text"]
    if "hidden" in stated or "display:none" in stated.get("style", "").replace(" ", ""):
        marks |= _BIT["hidden"]
    return marks


def _attributes(written: str) -> dict[str, str]:
    """Values by name, escaped, of attributes as the parser writes them: all with a value, no quotes inside."""
    pairs = (one.partition('="') for one in written.removesuffix('"').split('" '))
    return {name: value for name, _, value in pairs}


def _marks_of(attributes: Iterable[str]) -> dict[str, int]:
    """The marks that each of these lists of attributes gives an element."""
    read = {one: _attributes(one) for one in attributes}
    kinds = named_kinds([[*found.get("class", "").split(), *found.get("id", "").split()] for found in read.values()])
    return {one: kind | _stated_marks(found) for (one, found), kind in zip(read.items(), kinds, strict=True)}


@dataclass
class PageBlocks:
    """The blocks of a page and its tree of block elements; element 0 is the root, parents come before children.

    Attributes:
        texts: of each block, white space folded.
        links: share of its characters that are links.
        elements: the block element that it lies in directly.
        parents: of each element its parent; -1 for the root.
        tags: of each element.
        marks: bits of `MARKS` that an element has by itself.
        depth: of the deepest element.
    """

    texts: list[str] = field(default_factory=list)
    links: list[float] = field(default_factory=list)
    elements: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    depth: int = 0

    def add_text(self, pieces: list[str], in_links: int, element: int) -> None:
        """Add a block of these pieces, which are not all white space."""
        joined = "".join(pieces)
        self.texts.append(" ".join(joined.split()))
        self.links.append(min(1.0, in_links / len(joined)))
        self.elements.append(max(element, 0))

    def add_element(self, parent: int, tag: str) -> int:
        """Add an element, still without marks; gives its number."""
        self.parents.append(parent)
        self.tags.append(tag)
        return len(self.parents) - 1


def _unescape(text: str) -> str:
    # All that the parser escapes when it writes text.
    return text.replace("&nbsp;", " ").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _behind_comment(begun: str, pieces: Iterator[str]) -> str:
    """Pass a comment, which may hold tags; the text behind its end."""
    _, ended, text = begun[3:].partition("-->")
    while not ended:
        piece = next(pieces, "-->")
        _, ended, text = piece.partition("-->")
    return text


def _behind(pieces: Iterator[str], tag: str) -> str:
    """Pass an element whose start tag was read; the text behind its end."""
    end, inner, depth = f"/{tag}>", (f"{tag} ", f"{tag}>"), 1
    for piece in pieces:
        if piece.startswith(end):
            depth -= 1
            if not depth:
                return piece[len(end) :]
        elif piece.startswith(inner):
            depth += 1
        elif piece.startswith("!--"):
            _behind_comment(piece, pieces)
    return ""


def _whole_tag(begun: str, pieces: Iterator[str]) -> tuple[str, str]:
    """A tag with `<` in a name, where it was cut, and the text behind it."""
    for piece in pieces:
        rest, closed, text = piece.partition(">")
        begun = f"{begun}<{rest}"
        if closed:
            return begun, text
    return begun, ""


def _content(pieces: Iterator[str], tag: str, text: str) -> str:
    """The text of an element in which nothing is escaped, with `&` escaped, and what follows its end."""
    parts, behind = [text], ""
    for piece in pieces:
        if piece.startswith(f"/{tag}>"):
            behind = piece[len(tag) + 2 :]
            break
        parts.append(piece)
    return "<".join(parts).replace("&", "&amp;") + behind


def page_blocks(tree: Any) -> PageBlocks:
    """The blocks of a parsed page, in order.

    Args:
        tree: a `LexborHTMLParser`, which is changed: what holds no text is removed from it.
    """
    tree.strip_tags(_REMOVED)
    blocks = PageBlocks()
    body = tree.body
    if body is None:
        return blocks
    cut = iter(body.html.split("<"))
    next(cut)  # what precedes the first tag: nothing
    stated = _read_tags(cut, blocks)
    marks = _marks_of(dict.fromkeys(stated))
    blocks.marks = [
        marks[one] | _BIT.get(_TAGGED.get(tag, ""), 0) for one, tag in zip(stated, blocks.tags, strict=True)
    ]
    return blocks


def _read_tags(cut: Iterator[str], blocks: PageBlocks) -> list[str]:  # noqa: PLR0912, PLR0915  # a call a tag is dear
    """Fill in blocks and elements from a page cut at each `<`; gives the attributes of each element as written."""
    stated: list[str] = []
    open_elements, open_links = [-1], 0
    pieces: list[str] = []
    in_links, visible, depth = 0, False, 1
    known, partition, keep = _KINDS.get, str.partition, pieces.append
    for piece in cut:
        tag, closed, text = partition(piece, ">")
        attributes = ""
        kind = known(tag)
        if kind is None or not closed:
            if tag.startswith("!--"):
                tag, text = "", _behind_comment(piece, cut)
            elif not closed:
                tag, text = _whole_tag(tag, cut)
            tag, _, attributes = partition(tag, " ")
            kind = known(tag, 0)
        if kind:
            if kind <= 2:
                if visible:
                    blocks.add_text(pieces, in_links, open_elements[-1])
                    visible = False
                if pieces:
                    pieces.clear()
                    in_links = 0
                if kind == 1:
                    number = blocks.add_element(open_elements[-1], tag)
                    stated.append(attributes)
                    if tag != "hr":  # nothing closes it
                        open_elements.append(number)
                        depth = max(depth, len(open_elements))
                elif len(open_elements) > 1:
                    open_elements.pop()
            elif kind == 3:
                open_links += 1
            elif kind == 4:
                open_links -= 1
            elif kind == 5:
                keep("\n")
            elif kind == 6:
                text = _behind(cut, tag)
            else:
                text = _content(cut, tag, text)
        if text:
            if "&" in text:
                text = _unescape(text)
            keep(text)
            if open_links:
                in_links += len(text)
            if not visible:
                visible = not text.isspace()
    if visible:
        blocks.add_text(pieces, in_links, open_elements[-1])
    blocks.depth = depth - 1
    return stated
