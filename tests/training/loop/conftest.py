"""A small run over the small corpus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.configs.train import TrainConfig
from schemas.corpus_root import CorpusRoot
from training.loop.prepare import PreparedRun, prepare_run

SHAPE = {"context": 32, "layers": 2, "heads": 2, "width": 32, "band": 8}
SETTINGS: dict[str, Any] = {
    "model": SHAPE,
    "steps": 10,
    "batch": 8,
    "learning_rate": 0.01,
    "warmup_tokens": 600,
    "precision": "fp32",
    "validation_windows": 4,
    "sample_tokens": 5,
}


def small_config(**settings: Any) -> TrainConfig:
    return TrainConfig.model_validate({**SETTINGS, **settings})


@pytest.fixture
def prepared(make_corpus, corpus_root: CorpusRoot, run_folder: str) -> Callable[..., PreparedRun]:
    """Prepare the small run with some settings changed; the corpus is written at the first call."""
    written: list[object] = []

    def prepare(run: str = run_folder, **settings: Any) -> PreparedRun:
        if not written:
            written.append(make_corpus())
        return prepare_run(small_config(**settings), corpus_root.url, "main", run)

    return prepare
