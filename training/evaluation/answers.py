"""Comparing generated answers with right ones.

As SQuAD's evaluation does (Rajpurkar et al. 2016, section 6.1), or as they are: SQuAD's way drops punctuation, and with
it the sign and the point of a number.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Literal

__all__ = ["Comparison", "exact_match", "extracted", "normalize_answer", "token_f1"]

Comparison = Literal["squad", "text"]

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str, compare: Comparison = "squad") -> str:
    """Words separated by one space; for SQuAD lower case, without ASCII punctuation and English articles."""
    if compare == "squad":
        text = _ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION))
    return " ".join(text.split())


def exact_match(answer: str, right: Sequence[str], compare: Comparison = "squad") -> float:
    """1 where the answer equals one of the right ones after normalization, else 0."""
    return float(any(normalize_answer(answer, compare) == normalize_answer(one, compare) for one in right))


def _f1(answer: str, right: str, compare: Comparison) -> float:
    ours, theirs = normalize_answer(answer, compare).split(), normalize_answer(right, compare).split()
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


def token_f1(answer: str, right: Sequence[str], compare: Comparison = "squad") -> float:
    """Harmonic mean of precision and recall over words, against the right answer where it is highest; in [0, 1]."""
    return max(_f1(answer, one, compare) for one in right)


def extracted(answer: str, pattern: str) -> str:
    """What an answer says: the first group of the last match, or the match itself; nothing where there is none."""
    if not pattern:
        return answer
    found = list(re.finditer(pattern, answer))
    return found[-1][found[-1].re.groups and 1] if found else ""
