"""What is installed, under which licences."""

from __future__ import annotations

__all__: list[str] = []
