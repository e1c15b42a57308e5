"""What all tests of main text need."""

from __future__ import annotations

import pytest

from pipelines.cleaning.main_text.model import main_text
from pipelines.cleaning.main_text.page_blocks import read_blocks


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Compile, or load what was compiled, before a test that is timed: seconds at the first time."""
    main_text(read_blocks("<body>x"))
