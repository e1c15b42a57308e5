"""One trained run for all evaluation tests that leave it as it is."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_run(_trained_once: Path) -> str:
    """A run of 100 steps that has learned which word follows which; not to be changed, scores apart."""
    return str(_trained_once)
