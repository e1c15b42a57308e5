"""Which of several like documents stays: the keys of the survivor policy, and how each is written in settings."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

__all__ = ["SurvivorKey", "survivor_key"]

_FORMS = "score:NAME, longest, earliest:captured_at, earliest:published, newest:captured_at, newest:published or source"
_SCORE = re.compile(r"score:(\S+)")
_DATE = re.compile(r"(earliest|newest):(captured_at|published)")


class SurvivorKey(NamedTuple):
    """One key of the ranking; of two documents the one with the better value ranks higher, a missing value last.

    Attributes:
        kind: what is compared.
        name: of the score, or of the column with the date; empty for the others.
        descending: whether the larger value is the better one.
    """

    kind: Literal["score", "length", "date", "source"]
    name: str
    descending: bool


def survivor_key(written: str) -> SurvivorKey:
    """Read a key as settings write it.

    Raises:
        ValueError: it is none of the known forms.
    """
    if match := _SCORE.fullmatch(written):
        return SurvivorKey("score", match[1], descending=True)
    if match := _DATE.fullmatch(written):
        return SurvivorKey("date", match[2], descending=match[1] == "newest")
    if written == "longest":
        return SurvivorKey("length", "", descending=True)
    if written == "source":
        return SurvivorKey("source", "", descending=False)
    raise ValueError(f"unknown key of the policy {written!r}; give {_FORMS}")
