"""Blocks of a page by their definition, in plain Python over text: what the compiled reader has to give, bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pipelines.cleaning.main_text.element_marks import MARK_BITS, NAMED, TAG_MARKS
from pipelines.cleaning.main_text.page_blocks import BLOCK_TAGS, NO_TEXT_TAGS, UNESCAPED_TAGS

__all__ = ["DefinedBlocks", "defined_blocks", "named_kinds"]

_FRAME_ROLES = {"navigation", "complementary", "contentinfo", "banner", "search", "dialog"}


def named_kinds(name: str) -> int:
    """A bit for each kind of `NAMED` that a class or an id speaks of."""
    spelled = f" {name.lower().replace('_', '-')} "
    return sum(MARK_BITS[kind] for kind, parts in NAMED.items() if any(part in spelled for part in parts))


def _attributes(written: str) -> dict[str, str]:
    """Values by name, escaped, of attributes as the parser writes them: all with a value, no quotes inside."""
    pairs = (one.partition('="') for one in written.removesuffix('"').split('" '))
    return {name: value for name, _, value in pairs}


def _stated_marks(written: str) -> int:
    """What attributes say."""
    stated = _attributes(written)
    marks = 0
    for name in (*stated.get("class", "").split(), *stated.get("id", "").split()):
        marks |= named_kinds(name)
    if stated.get("itemprop", "").lower() == "articlebody":
        marks |= MARK_BITS["article-body"] | MARK_BITS["text"]
    role = stated.get("role")
    if role in _FRAME_ROLES:
        marks |= MARK_BITS["frame"]
    elif role in ("main", "article"):
        marks |= MARK_BITS["text"]
    if "hidden" in stated or "display:none" in stated.get("style", "").replace(" ", ""):
        marks |= MARK_BITS["hidden"]
    return marks


@dataclass
class DefinedBlocks:
    """As `PageBlocks`, with texts and tags in place of places."""

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


def _unescape(text: str) -> str:
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


class _Reader:
    """Reads a page cut at each `<`."""

    def __init__(self, cut: Iterator[str]) -> None:
        self.blocks = DefinedBlocks()
        self._cut = cut
        self._open = [-1]
        self._open_links = 0
        self._pieces: list[str] = []
        self._in_links = 0

    def read(self) -> DefinedBlocks:
        """All of it."""
        for piece in self._cut:
            tag, closed, text = piece.partition(">")
            if tag.startswith("!--"):
                tag, text = "", _behind_comment(piece, self._cut)
            elif not closed:
                tag, text = _whole_tag(tag, self._cut)
            name, _, attributes = tag.partition(" ")
            self._tag(name, attributes)
            if name in NO_TEXT_TAGS:
                text = _behind(self._cut, name)
            elif name in UNESCAPED_TAGS:
                text = _content(self._cut, name, text)
            self._text(_unescape(text))
        self._end_block()
        return self.blocks

    def _tag(self, name: str, attributes: str) -> None:
        if name.removeprefix("/") in BLOCK_TAGS:
            self._end_block()
        if name in BLOCK_TAGS:
            self.blocks.parents.append(self._open[-1])
            self.blocks.tags.append(name)
            self.blocks.marks.append(_stated_marks(attributes) | TAG_MARKS.get(name, 0))
            if name != "hr":  # nothing closes it
                self._open.append(len(self.blocks.parents) - 1)
                self.blocks.depth = max(self.blocks.depth, len(self._open) - 1)
        elif name.removeprefix("/") in BLOCK_TAGS and len(self._open) > 1:
            self._open.pop()
        elif name in ("a", "/a"):
            self._open_links += 1 if name == "a" else -1
        elif name == "br":
            self._pieces.append("\n")

    def _text(self, text: str) -> None:
        self._pieces.append(text)
        self._in_links += len(text) if self._open_links else 0

    def _end_block(self) -> None:
        if "".join(self._pieces).split():
            self.blocks.add_text(self._pieces, self._in_links, self._open[-1])
        self._pieces, self._in_links = [], 0


def defined_blocks(written: str) -> DefinedBlocks:
    """The blocks of an element that the parser wrote, in order."""
    cut = iter(written.split("<"))
    next(cut)  # what precedes the first tag
    return _Reader(cut).read()
