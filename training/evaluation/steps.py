"""Work that can pause: after each forward pass an evaluation lets others go on, and says what it found at its end."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias, TypeVar

__all__ = ["Steps", "finish"]

Found = TypeVar("Found")

Steps: TypeAlias = Generator[None, None, Found]


def finish(work: Steps[Found]) -> Found:
    """Do all that is left at once; gives what was found."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: Found = end.value
            return found
