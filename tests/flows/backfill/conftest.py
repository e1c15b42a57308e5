"""Corpora for tests of backfills."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_units import FakeCorpus


@pytest.fixture
def corpus(tmp_path: Path) -> FakeCorpus:
    """An empty corpus with a frozen tokenizer."""
    made = FakeCorpus(tmp_path)
    made.tokenizer()
    return made
