"""Which blocks of a page are its main text: two logistic regressions, the second of which sees what the first said.

The weights are in `weights.json`, fitted by `tests/benchmarks/fit_main_text.py`. Judging blocks by shallow features is
Kohlschütter et al. 2010, "Boilerplate Detection using Shallow Text Features"; the tree and the second look are ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from pipelines.cleaning.main_text.features import block_features, context_features
from pipelines.cleaning.main_text.page_blocks import PageBlocks

__all__ = ["MainTextModel", "kept_blocks", "logistic", "main_text", "shipped_model"]

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class MainTextModel:
    """Weights of both regressions, and how likely a kept block has to be."""

    first: F64
    second: F64
    threshold: float


@cache
def shipped_model() -> MainTextModel:
    """The model that the package comes with."""
    stored = json.loads(files(__package__).joinpath("weights.json").read_text())
    return MainTextModel(np.array(stored["first"]), np.array(stored["second"]), stored["threshold"])


def logistic(odds: F64) -> F64:
    """1 / (1 + exp(-odds)), without overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


def kept_blocks(blocks: PageBlocks, model: MainTextModel) -> list[int]:
    """Numbers of the blocks that are main text, in order; of blocks that start alike the first that is kept."""
    if not len(blocks):
        return []
    first = block_features(blocks)
    likely = logistic(first.rows @ model.first)
    # Rounded, because the order in which a machine adds up may differ.
    judged = np.round(logistic(context_features(blocks, first, likely) @ model.second), 6)
    chosen = np.flatnonzero(judged > model.threshold)
    kept, starts = [], set()
    alike, repeats = first.alike[chosen].tolist(), first.repeats[chosen].tolist()
    for place, start, repeat in zip(chosen.tolist(), alike, repeats, strict=True):
        if not (repeat and start in starts):
            kept.append(place)
            starts.add(start)
    return kept


def main_text(blocks: PageBlocks, model: MainTextModel | None = None) -> str:
    """The main text, one line a block; empty where the page has none."""
    return "\n".join(blocks.texts(kept_blocks(blocks, model or shipped_model())))
