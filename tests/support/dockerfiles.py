"""Dockerfiles as stages of instructions, for tests of what they say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Stage", "read_stages"]

_ARGUMENT = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Stage:
    """One `FROM … AS name`; `base` has its arguments filled in with their defaults."""

    name: str
    base: str
    instructions: tuple[tuple[str, str], ...]

    def all(self, instruction: str) -> list[str]:
        """The values of an instruction, in order."""
        return [value for name, value in self.instructions if name == instruction]


def _lines(text: str) -> list[str]:
    kept = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [line.strip() for line in "\n".join(kept).replace("\\\n", " ").splitlines() if line.strip()]


def read_stages(path: Path) -> dict[str, Stage]:
    """The stages of a Dockerfile by name, in order."""
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    name, base, instructions = "", "", []
    for line in [*_lines(path.read_text()), "FROM end AS end"]:
        word, value = line.split(None, 1)
        if word == "ARG" and not name:
            key, _, default = value.partition("=")
            arguments[key] = default
        elif word == "FROM":
            if name:
                stages[name] = Stage(name, base, tuple(instructions))
            base, name = value.split(" AS ")
            base, instructions = _ARGUMENT.sub(lambda found: arguments[found[1]], base), []
        else:
            instructions.append((word, value))
    return stages
