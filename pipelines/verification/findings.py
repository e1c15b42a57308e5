"""What a check finds wrong, by file and cause."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Findings", "Problem"]


class Problem(NamedTuple):
    """A file (or folder) that is not what it should be, and why."""

    where: str
    cause: str


@dataclass
class Findings:
    """Problems, and how much was looked at."""

    problems: list[Problem] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)

    def add(self, where: str, cause: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(where, cause))
