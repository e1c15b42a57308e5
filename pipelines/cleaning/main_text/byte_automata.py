"""Automata over UTF-8 bytes: which of many words a text holds, starts with or is, at one look at each byte."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from string import ascii_lowercase, ascii_uppercase
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOWER_CASE", "WHITE_SPACE", "ByteAutomata", "WordList", "build"]

# The only characters outside of ASCII whose lower case is, or begins with, a letter of ASCII: the Kelvin sign, and the
# capital I with a dot, whose lower case goes on with the dot, so that no word goes on behind it.
_KELVIN, _DOTTED_I = "\u212a", "\u0130"
# Bytes that count as another one where case does not matter.
LOWER_CASE = dict(zip(ascii_uppercase.encode(), ascii_lowercase.encode(), strict=True))
# That of `str.split`.
WHITE_SPACE = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


@dataclass(frozen=True)
class WordList:
    """Words in lower case, each with a number above 0 whose bits are what it says.

    Attributes:
        words: by word its number.
        anywhere: the words are looked for at each place of a text, else at its start alone.
        same: bytes of texts that count as another one; `LOWER_CASE` for words in any case.
    """

    words: Mapping[str, int]
    anywhere: bool
    same: Mapping[int, int]


class ByteAutomata(NamedTuple):
    """Automata in one table: `state = moves[state + classes[list, byte]]`, and `moves[state]` is what was found.

    Found are the bits of all words that end there. In a state of 0 no word can be found any more; it is never left.

    Attributes:
        moves: the states' rows, one after another; the first number of a row is what was found there.
        classes: lists × 256, by byte a place in the row. Each list has its own, so that what is hot stays small: one
            table over all bytes of all lists had 0.9 MB, and took half as long again beside a parser.
        roots: by list the state to begin in.
    """

    moves: NDArray[np.int32]
    classes: NDArray[np.uint8]
    roots: NDArray[np.int64]


_DEAD = np.zeros(256, dtype=np.int32)


def _spellings(word: str, lower: bool) -> Iterable[str]:
    """All texts whose lower case begins with `word`, but for letters of ASCII in upper case."""
    if not lower:
        return (word,)
    letters = [[letter, *([_KELVIN] if letter == "k" else ())] for letter in word]
    letters = [[*some, *(one.upper() for one in some if one > "\x7f" and one.upper() != one)] for some in letters]
    if word.endswith("i"):
        letters[-1].append(_DOTTED_I)
    return map("".join, product(*letters))


class _Trie:
    """The words of one list, byte by byte; node 0 is the root."""

    def __init__(self, words: WordList) -> None:
        self.children: list[dict[int, int]] = [{}]
        self.found = [0]
        lower = words.same.items() >= LOWER_CASE.items()
        for word, number in words.words.items():
            for spelling in _spellings(word, lower):
                self._add(spelling.encode(), number)

    def _add(self, word: bytes, number: int) -> None:
        node = 0
        for byte in word:
            after = self.children[node].get(byte)
            if after is None:
                after = self.children[node][byte] = len(self.children)
                self.children.append({})
                self.found.append(0)
            node = after
        self.found[node] |= number


def _rows(trie: _Trie, words: WordList, column: Mapping[int, int], first: int) -> NDArray[np.int32]:
    """The rows of one automaton, the first of which begins at `first` (Aho and Corasick 1975, as a table)."""
    width = len(column) + 2
    rows = np.zeros((len(trie.children), width), dtype=np.int32)
    instead = [0] * len(trie.children)  # of a node: where the longest end of what was read is a beginning of a word
    waiting = deque([0])
    while waiting:
        node = waiting.popleft()
        row = rows[node]
        if words.anywhere:
            row[1:] = rows[instead[node], 1:] if node else first
        row[0] = trie.found[node] | (rows[instead[node], 0] if words.anywhere and node else 0)
        for byte, child in trie.children[node].items():
            if node and words.anywhere:
                instead[child] = (int(row[column[byte]]) - first) // width
            row[column[byte]] = first + child * width
            waiting.append(child)
    for byte, other in words.same.items():
        if other in column:
            rows[:, column[byte]] = rows[:, column[other]]
    return rows


def build(*lists: WordList) -> ByteAutomata:
    """Automata of these word lists, each with a root and with classes of bytes of its own."""
    classes = np.ones((len(lists), 256), dtype=np.uint8)
    tables, roots, first = [], [], _DEAD.size
    for words, row in zip(lists, classes, strict=True):
        trie = _Trie(words)
        known = {byte for children in trie.children for byte in children}
        known |= {byte for byte, other in words.same.items() if other in known}
        column = {byte: place for place, byte in enumerate(sorted(known), start=2)}  # column 1 is all other bytes
        row[list(column)] = list(column.values())
        tables.append(_rows(trie, words, column, first).ravel())
        roots.append(first)
        first += tables[-1].size
    return ByteAutomata(np.concatenate([_DEAD, *tables]), classes, np.array(roots, dtype=np.int64))
