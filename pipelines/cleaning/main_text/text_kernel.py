"""Compiled: counts in the texts of blocks, which phrases they hold, and which of them start alike.

Everything that is compiled together lies in this file, constants too (see `pipelines/engine/compiled.py`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.cleaning.main_text.byte_automata import ByteAutomata
from pipelines.engine.compiled import compiled, inlined

__all__ = ["COUNTS", "HEAD", "PHRASES", "PROPERTIES", "count_in_texts"]

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Number = int | np.int64
Flag = bool | np.bool

# Rows of what is counted; see `BlockTexts`.
COUNTS = ("sizes", "words", "punctuation", "ends", "framed", "captions", "leads", "shouts")
_SIZES, _WORDS, _PUNCTUATION, _ENDS, _FRAMED, _CAPTIONS, _LEADS, _SHOUTS = range(len(COUNTS))
# Bits of a character.
PROPERTIES = ("punctuation", "ending", "unspaced", "upper", "lower", "longer")
_MARK, _ENDING, _UNSPACED, _UPPER, _LOWER, _LONGER = (1 << place for place in range(len(PROPERTIES)))
# Bits of a phrase, and the word lists of the automata: phrases anywhere, and at the start.
PHRASES = ("frame", "caption")
_FRAME, _CAPTION = (1 << place for place in range(len(PHRASES)))
_ANYWHERE, _START = 0, 1
_FRAME_SIZE, _CAPTION_SIZE = 200, 600  # characters, in lower case, of the longest text in which a phrase counts
HEAD = 80  # characters by which texts are alike
_SPACE = 0x20

# Of a part of a text: the byte behind it, its characters, how many of them are spaces, punctuation, of scripts without
# spaces, and longer in lower case; bits of any of its characters, and those of the last.
Part = tuple[Number, Number, Number, Number, Number, Number, Number, Number]


@inlined
def _count(text: Bytes, place: Number, end: Number, most: Number, properties: Bytes) -> Part:
    size, spaces, marks, unspaced, longer = 0, 0, 0, 0, 0
    of_any: Number = 0
    of_last: Number = 0
    while place < end and size < most:
        lead = np.int64(text[place])
        code, width = lead, 1
        if lead >= 0xF0:
            code = (lead & 7) << 18 | np.int64(text[place + 1] & 63) << 12
            code |= np.int64(text[place + 2] & 63) << 6 | np.int64(text[place + 3] & 63)
            width = 4
        elif lead >= 0xE0:
            code = (lead & 15) << 12 | np.int64(text[place + 1] & 63) << 6 | np.int64(text[place + 2] & 63)
            width = 3
        elif lead >= 0x80:
            code, width = (lead & 31) << 6 | np.int64(text[place + 1] & 63), 2
        of_last = np.int64(properties[code]) if code < len(properties) else 0
        of_any |= of_last
        size += 1
        spaces += code == _SPACE
        marks += (of_last & _MARK) != 0
        unspaced += (of_last & _UNSPACED) != 0
        longer += (of_last & _LONGER) != 0
        place += width
    return place, size, spaces, marks, unspaced, longer, of_any, of_last


@inlined
def _holds(text: Bytes, place: Number, end: Number, words: ByteAutomata) -> Number:
    """Bits of the phrases that are anywhere in a text."""
    state, found = words.roots[_ANYWHERE], np.int64(0)
    while place < end:
        state = np.int64(words.moves[np.uint64(state + words.classes[_ANYWHERE, text[place]])])
        found |= words.moves[np.uint64(state)]
        place += 1
    return found


@inlined
def _starts(text: Bytes, place: Number, end: Number, words: ByteAutomata) -> Flag:
    """Whether a text starts with a phrase."""
    state = words.roots[_START]
    while place < end and state != 0:
        state = np.int64(words.moves[np.uint64(state + words.classes[_START, text[place]])])
        if words.moves[state] != 0:
            return True
        place += 1
    return False


@inlined
def _alike(text: Bytes, start: Number, end: Number, other: Number, other_end: Number) -> Flag:
    if end - start != other_end - other:
        return False
    same = True
    for offset in range(end - start):
        same &= text[start + offset] == text[other + offset]
    return same


@inlined
def _first_alike(text: Bytes, block: Number, starts: I64, stops: I64, table: I64, hashes: I64) -> Number:
    """The first block that starts as this one does; the table holds numbers of blocks plus 1, 0 is free."""
    value = np.int64(0)
    for place in range(starts[block], stops[block]):
        value = (value ^ np.int64(text[place])) * np.int64(0x2545F4914F6CDD1D)
        value ^= value >> 29
    hashes[block] = value
    slot = value & (len(table) - 1)
    while table[slot] != 0:
        other = table[slot] - 1
        if hashes[other] == value and _alike(text, starts[block], stops[block], starts[other], stops[other]):
            return np.int64(other)
        slot = (slot + 1) & (len(table) - 1)
    table[slot] = block + 1
    return block


@compiled
def count_in_texts(text: Bytes, ends: I64, properties: Bytes, words: ByteAutomata) -> tuple[F64, I64]:
    """Counts, COUNTS × blocks, and by block of at least `HEAD` characters the first that starts alike, else -1."""
    blocks = len(ends) - 1
    counts, alike = np.empty((len(COUNTS), blocks)), np.empty(blocks, dtype=np.int64)
    stops, hashes = np.empty(blocks, dtype=np.int64), np.empty(blocks, dtype=np.int64)
    slots = 4
    while slots < 2 * blocks:
        slots *= 2
    table = np.zeros(slots, dtype=np.int64)
    for block in range(blocks):
        start, end = ends[block], ends[block + 1]
        stop, size, spaces, marks, unspaced, longer, of_head, of_last = _count(text, start, end, HEAD, properties)
        stops[block] = stop
        alike[block] = _first_alike(text, block, ends, stops, table, hashes) if size == HEAD else -1
        if stop < end:
            _, more, more_spaces, more_marks, more_unspaced, more_longer, _, of_last = _count(
                text, stop, end, end, properties
            )
            size += more
            spaces += more_spaces
            marks += more_marks
            unspaced += more_unspaced
            longer += more_longer
        counts[_SIZES, block] = size
        counts[_WORDS, block] = spaces + 1 + unspaced / 2
        counts[_PUNCTUATION, block] = marks
        counts[_ENDS, block] = (of_last & _ENDING) != 0
        found: Number = np.int64(0)
        if size + longer <= _CAPTION_SIZE:
            found = _holds(text, start, end, words)
        counts[_FRAMED, block] = (found & _FRAME) != 0 and size + longer <= _FRAME_SIZE
        counts[_CAPTIONS, block] = (found & _CAPTION) != 0
        counts[_LEADS, block] = _starts(text, start, end, words)
        counts[_SHOUTS, block] = (of_head & _UPPER) != 0 and (of_head & _LOWER) == 0
    return counts, alike
