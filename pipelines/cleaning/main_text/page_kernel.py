"""Compiled: from the bytes of a page that the parser wrote to its elements and the text of its blocks.

Everything that is compiled together lies in this file, constants too (see `pipelines/engine/compiled.py`). The page is
well-formed UTF-8; what it says as HTML may be anything, though the parser writes nothing that has no end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.cleaning.main_text.byte_automata import ByteAutomata
from pipelines.engine.compiled import compiled, inlined

__all__ = ["KINDS", "LISTS", "NUMBER_SHIFT", "read_page"]

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Number = int | np.int64
Flag = bool | np.bool
# Of a block: where its text begins and ends so far, 1 where that ends in white space or is empty; characters read, and
# how many of them in links.
Block = tuple[Number, Number, Number, Number, Number]

# What a tag is for the blocks; the number of the tag stands above these bits.
KINDS = ("other", "open", "rule", "close", "link", "link end", "break", "no text", "unescaped")
_OTHER, _OPEN, _RULE, _CLOSE, _LINK, _LINK_END, _BREAK, _NO_TEXT, _UNESCAPED = range(len(KINDS))
NUMBER_SHIFT = 4
_KIND = (1 << NUMBER_SHIFT) - 1
# The word lists of the automata. In texts, the words are what stands for one byte: escaped ones, and white space.
LISTS = ("tags", "texts")
_TAGS, _TEXTS = range(len(LISTS))

_SPACE, _BANG, _AMPERSAND, _DASH, _LESS, _GREATER = 0x20, 0x21, 0x26, 0x2D, 0x3C, 0x3E
# What a byte of a text may be: itself, white space, or the first of those that stand for one.
_PLAIN, _WHITE, _FIRST = range(3)


@inlined
def _at(page: Bytes, place: Number) -> Number:
    """The byte at a place; the index is unsigned, since Numba asks of a signed one whether it counts from the end."""
    return np.int64(page[np.uint64(place)])


@inlined
def _find(page: Bytes, place: Number, byte: int) -> Number:
    """The first place from `place` on that holds this byte, else the end.

    Eight bytes are looked at together: 0.4 ns a byte, where one at a time takes 0.9.
    """
    end, found = len(page), False
    while not found and place + 8 <= end:
        for offset in range(8):
            found |= _at(page, place + offset) == byte
        place += 0 if found else 8
    while place < end and _at(page, place) != byte:
        place += 1
    return place


@inlined
def _next(state: Number, byte: Number, which: int, words: ByteAutomata) -> Number:
    """The state behind a byte."""
    return np.int64(words.moves[np.uint64(state + words.classes[which, byte])])


@inlined
def _found(state: Number, words: ByteAutomata) -> Number:
    return np.int64(words.moves[np.uint64(state)])


@inlined
def _stands_for(page: Bytes, place: Number, end: Number, words: ByteAutomata) -> tuple[Number, Number]:
    """The byte that those at `place` stand for, and how many they are; 0 of them where they stand for themselves."""
    state, start = words.roots[_TEXTS], place
    while place < end and state != 0:
        state = _next(state, _at(page, place), _TEXTS, words)
        place += 1
        if _found(state, words) != 0:
            return _found(state, words), place - start
    return np.int64(0), 0


@inlined
def _keep(
    page: Bytes, place: Number, end: Number, escaped: bool, linked: Flag,
    text: Bytes, block: Block, signs: Bytes, words: ByteAutomata,
) -> Block:  # fmt: skip
    """Append to a block, white space folded; without branches on what is a letter and what a space."""
    begun, size, white, characters, in_links = block
    before = characters
    while place < end:
        byte = _at(page, place)
        sign: Number = np.int64(signs[byte])
        width: Number = 1
        if sign > _WHITE:
            sign = _PLAIN
            if byte != _AMPERSAND or escaped:
                other, found = _stands_for(page, place, end, words)
                if found > 0:
                    byte, width = other, found
                    sign = _WHITE if byte == _SPACE else _PLAIN
        text[size] = _SPACE if sign == _WHITE else byte
        size += 1 - (sign & white)
        white = sign
        characters += (byte & 0xC0) != 0x80
        place += width
    return begun, size, white, characters, in_links + characters - before if linked else in_links


@inlined
def _broken(block: Block, text: Bytes) -> Block:
    """The block behind a line break."""
    begun, size, white, characters, in_links = block
    text[size] = _SPACE
    return begun, size + 1 - white, 1, characters + 1, in_links


@inlined
def _is_comment(page: Bytes, place: Number) -> Flag:
    return (
        place + 2 < len(page)
        and _at(page, place) == _BANG
        and _at(page, place + 1) == _DASH
        and _at(page, place + 2) == _DASH
    )


@inlined
def _behind_comment(page: Bytes, place: Number) -> Number:
    """The place behind the end of a comment whose `!--` is at `place`; the end of the page where it has none."""
    place += 5
    while True:
        place = _find(page, place, _GREATER) + 1
        if place > len(page):
            return len(page)
        if _at(page, place - 2) == _DASH and _at(page, place - 3) == _DASH:
            return place


@inlined
def _tag(page: Bytes, place: Number, words: ByteAutomata) -> tuple[Number, Number]:
    """What the tag at `place` is, behind its `<`, and where its name ends, or where it was seen to be none of ours."""
    end, state = len(page), words.roots[_TAGS]
    while state != 0 and place < end and _at(page, place) != _SPACE and _at(page, place) != _GREATER:
        state = _next(state, _at(page, place), _TAGS, words)
        place += 1
    return _found(state, words), place


@inlined
def _element_end(
    page: Bytes, place: Number, code: Number, marked_up: bool, words: ByteAutomata
) -> tuple[Number, Number]:
    """Where the end tag of an element begins and ends whose start tag was read; both the end of the page without one.

    Where its content is marked up, comments and elements of the same name are passed.
    """
    end, closing, depth = len(page), code & ~_KIND, 1
    while True:
        start = _find(page, place, _LESS)
        place = start + 1
        if place >= end:
            return end, end
        if marked_up and _is_comment(page, place):
            place = _behind_comment(page, place)
            continue
        found, name_end = _tag(page, place, words)
        if found == closing and name_end < end and _at(page, name_end) == _GREATER:
            depth -= 1
            if depth == 0:
                return start, name_end + 1
        elif found == code and name_end < end and marked_up:
            depth += 1


@inlined
def _end_block(block: Block, blocks: Number, ends: I64, links: F64, elements: I64, element: Number) -> Number:
    """Take the block down, which lies in this element, if there is any text in it; how many blocks there are then."""
    begun, size, white, characters, in_links = block
    if size > begun:
        size -= white
        ends[blocks + 1], links[blocks], elements[blocks] = size, min(1.0, in_links / characters), max(element, 0)
        blocks += 1
    return blocks


@compiled
def read_page(page: Bytes, signs: Bytes, words: ByteAutomata) -> tuple[tuple[Bytes, I64, F64, I64, I64, I64, int], I64]:
    """The first seven of `PageBlocks`; and elements × 2, where the attributes of each begin and end.

    Args:
        page: UTF-8; what precedes its first tag is left out.
        signs: 256, what each byte may be in a text.
        words: the automata of `LISTS`.
    """
    end, most = len(page), np.sum(page == _LESS)
    text, ends = np.empty(end, dtype=np.uint8), np.zeros(most + 2, dtype=np.int64)
    links, elements = np.empty(most + 1), np.empty(most + 1, dtype=np.int64)
    parents, tags = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    stated, around = np.empty((most, 2), dtype=np.int64), np.empty(most + 1, dtype=np.int64)
    around[0] = -1
    level, deepest, open_links, count = 0, 0, 0, 0
    blocks: Number = 0
    block: Block = (0, 0, 1, 0, 0)
    place = _find(page, 0, _LESS) + 1
    while place <= end:
        kind: Number = _OTHER
        code, name_end, tag_end = kind, place, place
        if _is_comment(page, place):
            place = _behind_comment(page, place)
        else:
            code, name_end = _tag(page, place, words)
            tag_end = _find(page, name_end, _GREATER)
            kind, place = code & _KIND, min(tag_end + 1, end)
        if _OPEN <= kind <= _CLOSE:
            blocks = _end_block(block, blocks, ends, links, elements, around[level])
            block = (ends[blocks], ends[blocks], 1, 0, 0)
            if kind != _CLOSE:
                parents[count], tags[count] = around[level], code >> NUMBER_SHIFT
                stated[count, 0], stated[count, 1] = name_end + 1, tag_end
                if kind == _OPEN:
                    level += 1
                    around[level] = count
                    deepest = max(deepest, level)
                count += 1
            elif level > 0:
                level -= 1
        elif kind == _LINK:
            open_links += 1
        elif kind == _LINK_END:
            open_links -= 1
        elif kind == _BREAK:
            block = _broken(block, text)
        raw_end, behind = place, place  # of text in which nothing is escaped
        if kind >= _NO_TEXT:
            raw_end, behind = _element_end(page, place, code, kind == _NO_TEXT, words)
            raw_end = place if kind == _NO_TEXT else raw_end
        stop = _find(page, behind, _LESS)
        for start, after, escaped in ((place, raw_end, False), (behind, stop, True)):
            block = _keep(page, start, after, escaped, open_links != 0, text, block, signs, words)
        place = stop + 1
    blocks = _end_block(block, blocks, ends, links, elements, around[level])
    read = text[: ends[blocks]], ends[: blocks + 1], links[:blocks], elements[:blocks], parents[:count], tags[:count]
    return (*read, deepest), stated[:count]
