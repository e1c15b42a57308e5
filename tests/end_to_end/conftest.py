"""The command `corpusmill demo`, run as users run it, at a size that takes about a minute."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from processes import alive, children_cpu, marked

TINY = (
    "crawl.max_pages=30",
    "tokenizer.vocabulary_size=600",
    # Of 27 pages or so, whichever Python they document, each split gets some.
    *(f"{stage}.{split}=0.2" for stage in ("tokenizer", "tokenize", "heldout") for split in ("test", "validation")),
    "mix.sequence_length=64",
    "mix.samples=240",
    "heldout.items=8",
    "heldout.examples=4",
    "heldout.train_pairs=64",
    "heldout.test_pairs=8",
    "heldout.shots=[0]",
    "train.model={context=64, layers=2, heads=2, width=32, band=16}",
    "train.steps=30",
    "train.batch=8",
    "train.warmup_tokens=1000",
    "train.checkpoint_every=5",
    "train.validation_every=10",
    "train.sample_every=0",
    "train.sample_tokens=16",
    "evaluate.limit=4",
    "finetune.epochs=0.5",
    "finetune.max_tokens=4",
)

MARK = "CORPUSMILL_TEST_DEMO"  # an environment variable that all processes of a demo inherit


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Demo:
    """One demo: where its corpus lies, and how to call it."""

    root: Path
    home: Path
    overrides: Sequence[str] = TINY
    given: str | None = None
    flags: Sequence[str] = ("--workers", "1")

    def command(self) -> list[str]:
        """Its command line."""
        sets = [word for override in self.overrides for word in ("--set", override)]
        return [sys.executable, "-m", "flows.cli", "demo", "--root", str(self.root), *self.flags, *sets]

    def environment(self) -> dict[str, str]:
        """The environment of a user whose home is empty."""
        mine = {"HOME": str(self.home), "CORPUS_INPUT": self.given or "", MARK: str(self.root)}
        return {**os.environ, **mine}

    def processes(self) -> list[psutil.Process]:
        """All that run for this demo: those that inherited its mark, and what they started."""
        found = set(marked(MARK, str(self.root)))
        for process in list(found):
            with suppress(psutil.NoSuchProcess):
                found |= {one for one in process.children(recursive=True) if alive(one)}
        return sorted(found, key=lambda process: process.pid)

    def start(self) -> subprocess.Popen[str]:
        """Start it, its output in pipes."""
        pipe = subprocess.PIPE
        return subprocess.Popen(self.command(), env=self.environment(), stdout=pipe, stderr=pipe, text=True)

    def run(self) -> Ended:
        """Run it to its end."""
        started, before = time.monotonic(), children_cpu()
        with self.start() as process:
            out, err = process.communicate()
        return Ended(process.returncode, out, err, time.monotonic() - started, children_cpu() - before)

    def summary(self) -> dict:
        """What it says of itself at its end."""
        return json.loads((self.root / "demo.json").read_text())


@pytest.fixture(scope="session")
def make_demo(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Demo]:
    """Makes demos with a corpus and a home of their own."""

    def make(**about) -> Demo:
        folder = tmp_path_factory.mktemp("demo")
        (folder / "home").mkdir()
        return Demo(root=folder / "corpus", home=folder / "home", **about)

    return make


@pytest.fixture(scope="session")
def undisturbed(make_demo: Callable[..., Demo]) -> tuple[Demo, Ended]:
    """The tiny demo, run once to its end without a disturbance."""
    demo = make_demo()
    ended = demo.run()
    assert ended.code == 0, f"{ended.out}\n{ended.err}"
    return demo, ended
