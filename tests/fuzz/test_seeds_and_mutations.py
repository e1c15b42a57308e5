"""The targets of `make prove fuzz` on their seeds, and on some hundred mutations of these."""

from __future__ import annotations

import random
import traceback
from pathlib import Path

import pytest
from fuzz_mutations import mutated
from fuzz_targets import finding, targets

_REPOSITORY = Path(__file__).resolve().parents[2]
_FEW = frozenset({"arrow", "html", "rows", "warc"})  # what takes five milliseconds and more each


@pytest.mark.parametrize("name", sorted(targets(_REPOSITORY)))
def test_every_input_gives_a_result_or_an_error_of_ours(name: str, shared_data: Path):
    assert shared_data.is_dir()
    target, draw = targets(_REPOSITORY)[name], random.Random(7)
    seeds = target.seeds()
    inputs = [mutated(draw.choice(seeds), draw, seeds, target.longest) for _ in range(60 if name in _FEW else 300)]
    for data in [*seeds, *inputs]:
        error = finding(target, data)
        assert error is None, f"{data!r:.2000}\n{''.join(traceback.format_exception(error))}"


def test_mutations_follow_from_the_seed():
    seeds = [b"some words 12", b"<html>"]
    first, again = ([mutated(b"some words 12", random.Random(3), seeds, 64) for _ in range(2)] for _ in range(2))
    assert first == again
    assert all(len(one) <= 64 for one in first)
