"""Examples in the prompt help: a small model is trained on a mix and asked what it never saw."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import pytest
from few_shot_corpus import LETTERS, write_few_shot_corpus, write_few_shot_suite

from schemas.configs.evaluate import EvaluateConfig
from schemas.configs.model import ModelShape
from schemas.configs.train import TrainConfig
from schemas.corpus_root import CorpusRoot
from training.evaluation.evaluate import evaluate
from training.loop.prepare import prepare_run
from training.loop.train import train

STEPS, BATCH = 800, 16
TASKS = {name: LETTERS[name] for name in ("copying", "reversed")}


@pytest.mark.slow
def test_more_examples_help_by_more_than_three_standard_errors(shared_data: Path, tmp_path: Path) -> None:
    real = gzip.decompress((shared_data / "text" / "wiki" / "wikitext-2.valid.txt.gz").read_bytes()).decode()
    root, letters = CorpusRoot(str(tmp_path / "corpus")), "abcdefghijkl"
    examples = STEPS * BATCH * 4 // 5
    context = write_few_shot_corpus(
        root,
        (TASKS,),
        real,
        letters=letters,
        length=2,
        count=examples + 10,
        shots=5,
        samples={"examples": examples, "real": STEPS * BATCH - examples},
    )
    config = TrainConfig(
        model=ModelShape(context=context, layers=2, heads=4, width=48, band=context // 4),
        batch=BATCH,
        learning_rate=0.01,
        warmup_tokens=25 * BATCH * context,
        precision="fp32",
        sample_tokens=2,
        validation_every=0,
        checkpoint_every=0,
    )
    train(prepare_run(config, root.url, "main", str(tmp_path / "run")))
    suite = write_few_shot_suite(tmp_path, (TASKS,), letters, 2, (0, 1, 4), 100)
    result = evaluate(str(tmp_path / "run"), suite, EvaluateConfig(untrained=False))
    for task in TASKS:
        none, one, four = [score for score in result.scores if score.task == task]
        for more in (one, four):
            assert none.value is not None
            assert more.value is not None
            error = math.hypot(none.standard_error or 0.0, more.standard_error or 0.0)
            assert more.value - none.value > 3 * error, task
        # Which of two tasks is meant, nothing says without an example.
        assert none.value < 0.8
