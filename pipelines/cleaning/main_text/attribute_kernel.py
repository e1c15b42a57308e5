"""Compiled: from the attributes of elements, as the parser writes them, to what they say that the elements are for.

Everything that is compiled together lies in this file, constants too (see `pipelines/engine/compiled.py`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.cleaning.main_text.byte_automata import ByteAutomata
from pipelines.engine.compiled import compiled, inlined

__all__ = ["ATTRIBUTES", "LISTS", "stated_marks"]

I64 = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Number = int | np.int64

# The word lists of the automata.
LISTS = ("white space", "attributes", "names", "roles", "properties", "styles")
_WHITE, _ATTRIBUTES, _NAMES, _ROLES, _PROPERTIES, _STYLES = range(len(LISTS))
ATTRIBUTES = ("", "class", "id", "itemprop", "role", "hidden", "style")
_CLASS, _ID, _ITEMPROP, _ROLE, _HIDDEN, _STYLE = range(1, len(ATTRIBUTES))

_SPACE, _QUOTE, _EQUALS, _DELETE = 0x20, 0x22, 0x3D, 0x7F


@inlined
def _at(page: Bytes, place: Number) -> Number:
    """The byte at a place; the index is unsigned, since Numba asks of a signed one whether it counts from the end."""
    return np.int64(page[np.uint64(place)])


@inlined
def _next(state: Number, byte: Number, which: int, words: ByteAutomata) -> Number:
    """The state behind a byte."""
    return np.int64(words.moves[np.uint64(state + words.classes[which, byte])])


@inlined
def _found(state: Number, words: ByteAutomata) -> Number:
    return np.int64(words.moves[np.uint64(state)])


@inlined
def _white(page: Bytes, place: Number, end: Number, words: ByteAutomata) -> int:
    """Bytes of the white space at `place`; 0 where there is none."""
    state, width = words.roots[_WHITE], 0
    while place + width < end and state != 0:
        state = _next(state, _at(page, place + width), _WHITE, words)
        width += 1
        if _found(state, words) != 0:
            return width
    return 0


@inlined
def _names(page: Bytes, place: Number, end: Number, words: ByteAutomata) -> Number:
    """What the names between white space speak of; a space before and after each is a part of it."""
    state, found = _next(words.roots[_NAMES], _SPACE, _NAMES, words), np.int64(0)
    while place < end:
        byte, width = _at(page, place), 1
        if byte <= _SPACE or byte > _DELETE:
            white = _white(page, place, end, words)
            byte, width = (_SPACE, white) if white > 0 else (byte, 1)
        state = _next(state, byte, _NAMES, words)
        found |= _found(state, words)
        place += width
    return found | _found(_next(state, _SPACE, _NAMES, words), words)


@inlined
def _word(page: Bytes, place: Number, end: Number, which: int, words: ByteAutomata) -> Number:
    """The number of the word of this list that these bytes are."""
    state = words.roots[which]
    while place < end and state != 0:
        state = _next(state, _at(page, place), which, words)
        place += 1
    return _found(state, words)


@inlined
def _declared(page: Bytes, place: Number, end: Number, words: ByteAutomata) -> Number:
    """The numbers of the words that are in a style without its spaces."""
    state, found = words.roots[_STYLES], np.int64(0)
    while place < end:
        if _at(page, place) != _SPACE:
            state = _next(state, _at(page, place), _STYLES, words)
            found |= _found(state, words)
        place += 1
    return found


@inlined
def _attribute(page: Bytes, place: Number, end: Number) -> tuple[Number, Number, Number]:
    """Where the name of the attribute at `place` ends, where its value begins and where it ends.

    The parser writes `name="value"`, a space between them, and no quotes in values; here without the last quote.
    """
    name_end, stop = end, place
    while stop < end:
        byte, after = _at(page, stop), _at(page, stop + 1) if stop + 1 < end else _SPACE - 1
        if byte == _QUOTE and after == _SPACE:
            break
        if byte == _EQUALS and after == _QUOTE and name_end == end:
            divides = stop + 2 < end and _at(page, stop + 2) == _SPACE
            name_end = end if divides else stop
        stop += 1
    return min(name_end, stop), min(name_end + 2, stop), stop


@compiled
def stated_marks(page: Bytes, stated: I64, words: ByteAutomata, hidden: int) -> I64:
    """By element the marks that its attributes give it; of two with one name the last counts.

    Args:
        page: UTF-8.
        stated: elements × 2, where the attributes of each begin and end.
        words: the automata of `LISTS`.
        hidden: the mark that the attribute of this name gives.
    """
    marks, values = np.zeros(len(stated), dtype=np.int64), np.empty((len(ATTRIBUTES), 2), dtype=np.int64)
    for element in range(len(stated)):
        place, end = stated[element, 0], stated[element, 1]
        if place >= end:
            continue
        values[:] = 0
        found = np.int64(0)
        end -= _at(page, end - 1) == _QUOTE
        while place <= end:
            name_end, value, stop = _attribute(page, place, end)
            name = _word(page, place, name_end, _ATTRIBUTES, words)
            values[name, 0], values[name, 1] = value, stop
            found |= hidden if name == _HIDDEN else 0
            place = stop + 2
        found |= _names(page, values[_CLASS, 0], values[_CLASS, 1], words)
        found |= _names(page, values[_ID, 0], values[_ID, 1], words)
        found |= _word(page, values[_ITEMPROP, 0], values[_ITEMPROP, 1], _PROPERTIES, words)
        found |= _word(page, values[_ROLE, 0], values[_ROLE, 1], _ROLES, words)
        marks[element] = found | _declared(page, values[_STYLE, 0], values[_STYLE, 1], words)
    return marks
