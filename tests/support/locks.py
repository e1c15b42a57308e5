"""What the locks in `requirements/` pin."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["pins"]


def pins(lock: Path) -> dict[str, set[str]]:
    """Versions by name; more than one where they depend on the platform."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found
