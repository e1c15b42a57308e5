"""`make prove resume`: a run killed at any of many points ends as one that was not, bit for bit.

Kill points (in a step, while half of a checkpoint is written) × dropout × compiled code × copies and shards × one and
two ranks; and runs begun on one number of ranks and gone on with on another, whose losses are equal but for rounding.
Prints the tables for docs/proofs.md; takes some twenty minutes on two cores.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from conftest import tiny_tokenizer, write_corpus

from schemas.corpus_root import CorpusRoot
from schemas.run import checkpoint_folder
from training.checkpoints.content import content_digests
from training.loop.run_log import read_log

STEPS, EVERY = 12, 4
LAYOUTS = {"one": (1, "ddp"), "copies": (2, "ddp"), "shards": (2, "fsdp")}
KILLS = (("step", 2), ("step", 7), ("save", 4), ("save", 8))
SHAPE = "context=32, layers=2, heads=2, width=32, band=8"
DROPOUT = ", residual_dropout=0.1, attention_dropout=0.1, embedding_dropout=0.1"


def say(text: str) -> None:
    """Show progress and results as they come."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def options(root: str, run: Path, settings: dict[str, str], ranks: int) -> list[str]:
    """The words of one run."""
    common = {
        "batch": "8",
        "micro_batch": "2",
        "steps": str(STEPS),
        "warmup_tokens": "512",
        "checkpoint_every": str(EVERY),
        "sample_every": "0",
        "sample_tokens": "2",
        "precision": "fp32",
        "threads": "1",
    }
    sets = [part for key, value in {**common, **settings}.items() for part in ("--set", f"{key}={value}")]
    return ["train", "--root", root, "--mixture", "main", "--run", str(run), *sets, "--nproc", str(ranks)]


def train(module: Sequence[str], words: Sequence[str]) -> int:
    """Run a command; gives its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", *module, *words], capture_output=True, text=True, check=False, timeout=1200
    )
    if done.returncode > 1 or (done.returncode and module[0] == "training"):
        raise SystemExit(f"{' '.join(words)}:\n{done.stderr[-3000:]}")
    return done.returncode


def losses(run: Path) -> list[float]:
    """Of all steps."""
    return [row["loss"] for row in read_log(str(run), "metrics.jsonl")]


def prove(root: str, folder: Path, layouts: Sequence[str]) -> bool:
    """Go through the matrix; whether all was equal."""
    good = True
    say("| ranks | | dropout | compiled | kills | losses | tensors of the last checkpoint | seconds |")
    say("|---:|---|---|---|---:|---|---|---:|")
    for layout, dropout, compiled in itertools.product(layouts, (False, True), (False, True)):
        ranks, parallel = LAYOUTS[layout]
        began, name = time.monotonic(), f"{ranks}-{parallel}-{dropout}-{compiled}"
        settings = {"model": f"{{{SHAPE}{DROPOUT if dropout else ''}}}", "compile": str(compiled).lower()}
        settings["parallel"] = parallel
        whole = folder / f"whole-{name}"
        train(["training"], options(root, whole, settings, ranks))
        equal, same = True, True
        for moment, step in KILLS:
            cut = folder / f"cut-{name}-{moment}-{step}"
            words = options(root, cut, settings, ranks)
            killed = train(["training.killed_run", moment, str(step)], words)
            stood = len(losses(cut)) if (cut / "metrics.jsonl").is_file() else 0
            if not killed or stood >= STEPS:
                raise SystemExit(f"{name} was not killed in {moment} {step}")
            train(["training"], words)
            equal &= losses(cut) == losses(whole)
            files = [content_digests(checkpoint_folder(str(run), STEPS)) for run in (whole, cut)]
            same &= bool(files[0]) and files[0] == files[1]
        good &= equal and same
        words = ["equal" if one else "**others**" for one in (equal, same)]
        shown = ["yes" if one else "no" for one in (dropout, compiled)]
        row = [ranks, parallel, *shown, len(KILLS), *words, f"{time.monotonic() - began:.0f}"]
        say(f"| {' | '.join(map(str, row))} |")
    return good & elastic(root, folder)


def elastic(root: str, folder: Path) -> bool:
    """Runs whose number of ranks changes: the same data, and losses equal but for rounding."""
    say("\n| begun on | killed in step | gone on with | largest difference of a loss |")
    say("|---|---:|---|---:|")
    good, settings = True, {"model": f"{{{SHAPE}{DROPOUT}}}"}
    undisturbed = folder / "undisturbed"
    train(["training"], options(root, undisturbed, settings, 1))
    whole = np.array(losses(undisturbed))
    for before, after in ((("ddp", 1), ("fsdp", 2)), (("fsdp", 2), ("ddp", 1)), (("ddp", 2), ("fsdp", 4))):
        run = folder / f"elastic-{before[1]}-{after[1]}"
        begun = options(root, run, {**settings, "parallel": before[0]}, before[1])
        if not train(["training.killed_run", "step", "7"], begun) or len(losses(run)) != 6:
            raise SystemExit(f"the run on {before} was not killed in step 7")
        train(["training"], options(root, run, {**settings, "parallel": after[0]}, after[1]))
        difference = float(np.abs(np.array(losses(run)) / whole - 1).max())
        good &= difference < 2e-5
        say(f"| {before[1]} × {before[0]} | 7 | {after[1]} × {after[0]} | {difference:.1e} |")
    return good


def main() -> int:
    """Print the tables; 1 where something was not equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layouts", nargs="*", choices=list(LAYOUTS), default=list(LAYOUTS), metavar="NAME")
    asked = parser.parse_args()
    say(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, PyTorch {torch.__version__}\n")
    with tempfile.TemporaryDirectory(prefix="corpusmill-resume-") as name:
        folder = Path(name)
        root = CorpusRoot(str(folder / "corpus"))
        write_corpus(root, tiny_tokenizer())
        return 0 if prove(root.url, folder, asked.layouts) else 1


if __name__ == "__main__":
    sys.exit(main())
