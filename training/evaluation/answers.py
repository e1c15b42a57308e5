"""Comparing generated answers with right ones, as SQuAD's evaluation does (Rajpurkar et al. 2016, section 6.1)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

__all__ = ["exact_match", "normalize_answer", "token_f1"]

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, words separated by one space."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, right: Sequence[str]) -> float:
    """1 where the answer equals one of the right ones after normalization, else 0."""
    return float(any(normalize_answer(answer) == normalize_answer(one) for one in right))


def _f1(answer: str, right: str) -> float:
    ours, theirs = normalize_answer(answer).split(), normalize_answer(right).split()
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


def token_f1(answer: str, right: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over words, against the right answer where it is highest; in [0, 1]."""
    return max(_f1(answer, one) for one in right)
