r"""What a word is for rules: letters, digits and the marks that belong to them.

Python's `\w` has no combining marks, so that it cuts Hindi, Tamil or Arabic with vowels inside words; and it says
nothing about scripts that put no space between words.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import groupby

__all__ = ["is_spaced_letter", "word_pattern"]

# Zero-width joiners stand inside words of Indic scripts and of Persian.
_JOINERS = "\u200c\u200d"
# Thai, Lao, Tibetan, Myanmar, Khmer, kana, Han: no space between words, so that a word may begin or end beside any.
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)


@cache
def _marks() -> str:
    """The combining marks of the Basic Multilingual Plane as the inside of a character class; 8 ms, once."""
    marks = [code for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M"]
    runs = [[code for _, code in run] for _, run in groupby(enumerate(marks), lambda pair: pair[1] - pair[0])]
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs)


@cache
def word_pattern() -> re.Pattern[str]:
    """Runs of letters, digits and their marks, with apostrophes and hyphens inside ("don't", "well-known")."""
    character = rf"[\w{_JOINERS}{_marks()}]"
    return re.compile(rf"\w{character}*(?:['’\-]{character}+)*")


def is_spaced_letter(character: str) -> bool:
    """Whether a character is part of a word of a script that puts spaces between words."""
    if _WITHOUT_SPACES.match(character):
        return False
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"
