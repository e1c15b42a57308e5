"""`make prove few-shot`: examples in the prompt help a model that was trained here, by more than three standard errors.

Trains on a mix of WikiText-2 and of documents that are examples of one task each (copying, unscrambling, sums,
differences and products of two digits), then asks what stands in no document, with 0 to 4 examples before it, and runs
every shipped task on the same checkpoint. Prints the tables for docs/proofs.md; takes some ten minutes of one core.
"""

from __future__ import annotations

import gzip
import math
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "support")]

from few_shot_corpus import DIGITS, LETTERS, write_few_shot_corpus, write_few_shot_suite  # noqa: E402

from flows.leaderboard.page import write_leaderboard  # noqa: E402
from schemas.configs.evaluate import EvaluateConfig  # noqa: E402
from schemas.configs.model import ModelShape  # noqa: E402
from schemas.configs.train import TrainConfig  # noqa: E402
from schemas.corpus_root import CorpusRoot  # noqa: E402
from training.evaluation.evaluate import evaluate  # noqa: E402
from training.evaluation.results import EvaluationResult, Score  # noqa: E402
from training.loop.prepare import prepare_run  # noqa: E402
from training.loop.train import train  # noqa: E402

STEPS, BATCH, LETTERS_USED, LENGTH = 1600, 16, "abcdefghij", 3
SHOTS = (0, 1, 2, 4)


def trained(folder: Path) -> str:
    """A run on the mix; four in five windows are of examples."""
    root = CorpusRoot(str(folder / "corpus"))
    windows = STEPS * BATCH
    examples = windows * 4 // 5
    real = gzip.decompress((DATA / "text" / "wiki" / "wikitext-2.valid.txt.gz").read_bytes()).decode()
    context = write_few_shot_corpus(
        root,
        (LETTERS, DIGITS),
        real,
        letters=LETTERS_USED,
        length=LENGTH,
        count=examples + 10,
        shots=8,
        samples={"examples": examples, "real": windows - examples},
    )
    config = TrainConfig(
        model=ModelShape(context=context, layers=4, heads=4, width=64, band=context // 4),
        batch=BATCH,
        learning_rate=0.004,
        warmup_tokens=35_600,
        precision="fp32",
        sample_tokens=2,
        checkpoint_every=STEPS // 2,
    )
    train(prepare_run(config, root.url, "main", str(folder / "run")))
    return str(folder / "run")


def gain(scores: list[Score]) -> tuple[float, float]:
    """The most examples against none: difference, and difference by its standard error."""
    first, last = scores[0], scores[-1]
    difference = (last.value or 0.0) - (first.value or 0.0)
    error = math.hypot(first.standard_error or 0.0, last.standard_error or 0.0)
    return difference, difference / error if error else math.inf


def show(result: EvaluationResult) -> int:
    """Print the curves; gives how many rise by more than three standard errors."""
    print(f"| task | {' | '.join(f'{shots} examples' for shots in SHOTS)} | gain | by standard errors |")
    print(f"|---|{'---:|' * (len(SHOTS) + 2)}")
    risen = 0
    for task in dict.fromkeys(score.task for score in result.scores):
        scores = [score for score in result.scores if score.task == task]
        cells = " | ".join(f"{score.value:.3f} ± {score.standard_error:.3f}" for score in scores)
        difference, errors = gain(scores)
        risen += errors > 3
        print(f"| {task} (n {scores[0].n}) | {cells} | {difference:.3f} | {errors:.1f} |")
    return risen


def main() -> int:
    if not DATA.is_dir():
        print(f"no test data in {DATA}", file=sys.stderr)
        return 1
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.process_time()
        run = trained(folder)
        print(f"{STEPS} steps of {BATCH} windows, {time.process_time() - began:.0f} s of CPU time\n")
        suite = write_few_shot_suite(folder, (LETTERS, DIGITS), LETTERS_USED, LENGTH, SHOTS, 100)
        risen = show(evaluate(run, suite, EvaluateConfig(untrained=False)))
        shipped = evaluate(run, "all", EvaluateConfig(data=str(DATA / "eval"), limit=20, shots=(0, 2), untrained=False))
        page = write_leaderboard([run], str(folder / "leaderboard.html"))
        tasks = {score.task for score in shipped.scores}
        pages = len(list((folder / "leaderboard-items").iterdir()))
        print(f"\n{len(tasks)} shipped tasks, {len(shipped.scores)} scores in {shipped.seconds:.0f} s; ", end="")
        print(f"leaderboard of {Path(page).stat().st_size:,} bytes and {pages} pages of items")
    return 0 if risen >= 2 else 1


if __name__ == "__main__":
    sys.exit(main())
