r"""What a word is for rules: letters, digits and the marks that belong to them.

A word begins with what `\w` matches and goes on with that, with combining marks and with joiners; an apostrophe or a
hyphen between two of these is part of it ("don't", "well-known"). Python's `\w` has no combining marks, so that it
cuts Hindi, Tamil or Arabic with vowels inside words; and it says nothing about scripts that put no space between words.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipelines.cleaning.word_kernels import ALPHABETIC, FIRST, INSIDE, LINK

__all__ = ["code_point_classes", "is_spaced_letter"]

# Zero-width joiners stand inside words of Indic scripts and of Persian.
_JOINERS = "\u200c\u200d"
_LINKS = "'’-"
# Thai, Lao, Tibetan, Myanmar, Khmer, kana, Han: no space between words, so that a word may begin or end beside any.
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)


@cache
def code_point_classes() -> NDArray[np.uint8]:
    """The class of each code point, for `word_kernels`; 1 MB, made once in a process, in 0.1 s.

    Combining marks are those of the Basic Multilingual Plane.
    """
    characters = "".join(map(chr, range(sys.maxunicode + 1)))
    classes = np.zeros(len(characters), dtype=np.uint8)
    for run in re.finditer(r"\w+", characters):
        classes[run.start() : run.end()] = FIRST | INSIDE
        letters = np.fromiter(map(str.isalpha, run[0]), dtype=bool, count=len(run[0]))
        classes[run.start() : run.end()][letters] |= ALPHABETIC
    marks = [code for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M"]
    classes[[*marks, *map(ord, _JOINERS)]] |= INSIDE
    classes[[*map(ord, _LINKS)]] |= LINK
    classes.setflags(write=False)
    return classes


def is_spaced_letter(character: str) -> bool:
    """Whether a character is part of a word of a script that puts spaces between words."""
    if _WITHOUT_SPACES.match(character):
        return False
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"
