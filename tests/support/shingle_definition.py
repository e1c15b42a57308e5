r"""The definition of shingles and their hashes in plain Python, to compare the compiled path with."""

from __future__ import annotations

import re

MASK = 2**64 - 1
# Written down from the lists of blocks of the Unicode Standard: scripts that put no space between words.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u3005-\u3007\u3021-\u3029\u3031-\u3035"
    "\u3038-\u303c\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaadf\uf900-\ufaff"
    "\uff66-\uff9f\U00011700-\U0001174f\U0001aff0-\U0001b16f\U00020000-\U0003ffff]"
)


def mixed(value: int) -> int:
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD & MASK
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 & MASK
    return value ^ value >> 33


def hash_by_definition(gram: tuple[str, ...]) -> int:
    values = [sum(mixed(ord(c)) * pow(0x9E3779B97F4A7C15, i, 2**64) for i, c in enumerate(word)) for word in gram]
    return sum(mixed(v & MASK) * pow(0xC2B2AE3D27D4EB4F, i, 2**64) for i, v in enumerate(values)) & MASK


def grams(text: str, words: int, characters: int = 10) -> set[tuple[str, ...]]:
    found = re.findall(r"\w+", text.lower())
    inside = "".join(found)
    n = words
    if inside and 2 * len(UNSPACED.findall(inside)) >= len(inside):
        found, n = list(inside), characters
    return {tuple(found[i : i + n]) for i in range(len(found) - n + 1)}


def jaccard(one: str, other: str, words: int = 5, characters: int = 10) -> float:
    left, right = grams(one, words, characters), grams(other, words, characters)
    return len(left & right) / len(left | right) if left | right else 0.0
