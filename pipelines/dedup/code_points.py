r"""What the compiled path knows of each code point: what its lower-cased form adds to a word, and its classes.

Taken from this Python's own `str.lower` and `\w`, so both paths agree for every version of Unicode. Lower-casing is one
code point to one code point with two exceptions, which `text_kernels.py` treats by themselves: a capital sigma, whose
lower case depends on its neighbours, and a capital I with a dot, which becomes two code points.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.dedup.mixing import mix64

__all__ = ["CASED", "IGNORABLE", "UNSPACED", "CodePoints", "code_points"]

U64 = NDArray[np.uint64]

MAX_CODE_POINT = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
_CAPITAL_SIGMA, _FINAL_SIGMA, _DOTTED_CAPITAL_I = 0x3A3, 0x3C2, 0x130

UNSPACED = 1  # of a script that puts no space between words
CASED = 2  # as the rule of the final sigma has it (Unicode Standard, section 3.13)
IGNORABLE = 4  # case-ignorable, in the same rule

# Han and kana, and the scripts of line breaking class SA (Unicode Standard Annex 14), which need a dictionary to find
# words: Thai, Lao, Myanmar, Khmer, Tai Le, New Tai Lue, Tai Tham, Tai Viet, Ahom.
_UNSPACED_BLOCKS = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19FF), (0x1A20, 0x1AAF)),
    *((0x3005, 0x3007), (0x3021, 0x3029), (0x3031, 0x3035), (0x3038, 0x303C), (0x3040, 0x30FF), (0x31F0, 0x31FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F), (0xAA80, 0xAADF), (0xF900, 0xFAFF)),
    *((0xFF66, 0xFF9F), (0x11700, 0x1174F), (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFF)),
)


class CodePoints(NamedTuple):
    r"""Tables over code points.

    Attributes:
        values: the mixed code point of the lower-cased form where `\w` matches that, else 0; uint64, 9 MB.
        classes: sum of `UNSPACED`, `CASED` and `IGNORABLE`; uint8, 1 MB.
    """

    values: U64
    classes: NDArray[np.uint8]


def _lower(columns: list[NDArray[np.uint32] | int]) -> NDArray[np.uint32]:
    """Rows of code points, each followed by a space and lower-cased as one text; same shape and a column of spaces."""
    rows = np.stack(np.broadcast_arrays(*columns, np.uint32(ord(" "))), axis=1).astype("<u4")
    lowered = rows.tobytes().decode("utf-32-le").lower().encode("utf-32-le")
    return np.frombuffer(lowered, dtype="<u4").reshape(rows.shape)


@lru_cache(maxsize=1)
def code_points() -> CodePoints:
    """The tables of this Python, made once in a process, in 0.2 s.

    Planes other than 0, 1 and 14 hold ideographs and private use: they have no lower case and are neither cased nor
    ignorable.
    """
    lowered = np.arange(MAX_CODE_POINT + 1, dtype=np.uint32)
    first = np.delete(lowered[:0x20000], [*_SURROGATES, _DOTTED_CAPITAL_I])
    single = np.concatenate([first, lowered[0xE0000:0xE1000]])
    lowered[single] = _lower([single])[:, 0]
    lowered[_DOTTED_CAPITAL_I] = ord("i")
    in_word = np.zeros(MAX_CODE_POINT + 1, dtype=bool)
    for run in re.finditer(r"\w+", "".join(map(chr, range(MAX_CODE_POINT + 1)))):
        in_word[run.start() : run.end()] = True
    values = np.where(in_word[lowered], mix64(lowered.astype(np.uint64)), np.uint64(0))
    classes = np.zeros(MAX_CODE_POINT + 1, dtype=np.uint8)
    for start, end in _UNSPACED_BLOCKS:
        classes[start : end + 1] = UNSPACED
    # A sigma after a letter is final unless the next character that is not ignorable is cased. So what follows it
    # tells its class: with nothing behind, only a cased one prevents the final form; an ignorable one lets the letter
    # behind it prevent it.
    letter = ord("A")
    alone = _lower([letter, _CAPITAL_SIGMA, single])[:, 1] == _FINAL_SIGMA
    followed = _lower([letter, _CAPITAL_SIGMA, single, letter])[:, 1] == _FINAL_SIGMA
    classes[single] |= np.where(alone, np.where(followed, 0, IGNORABLE), CASED).astype(np.uint8)
    classes[_DOTTED_CAPITAL_I] |= CASED
    values.setflags(write=False)
    classes.setflags(write=False)
    return CodePoints(values, classes)
