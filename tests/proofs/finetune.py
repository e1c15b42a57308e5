"""`make prove finetune`: a pretrained model learns three tasks, all of its weights beside a LoRA adapter.

The chain makes token shards of ten books and trains a model of a million weights on them. Then, for each task and
method, a process of `finetune` trains on pairs and answers held-out ones before and after. Full and LoRA are beside
each other in memory, time and score, at this size and in a few steps of a model of 85 million weights. In the end
`transformers` loads the exports and has to generate the same greedy tokens. Prints the tables for docs/proofs.md; takes
some ten minutes on two cores.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from schemas.configs.generate import GenerateConfig
from schemas.configs.model import ModelConfig
from schemas.run import read_run, write_run
from schemas.storage import Folder
from training.checkpoints import CheckpointState, load_model, save
from training.generation.stream import generate_ids
from training.generation.texts import start_of
from training.model.gpt import GPT

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
SEED = 20261130
LANGUAGES = {"en": "English", "de": "German", "fr": "French", "es": "Spanish", "pl": "Polish", "fi": "Finnish"}
LANGUAGES |= {"tr": "Turkish", "sv": "Swedish", "cy": "Welsh", "vi": "Vietnamese"}
MODEL = "{context=128, layers=4, heads=4, width=128, band=32}"
TRAIN = {"model": MODEL, "batch": 16, "steps": 300, "learning_rate": 0.003, "warmup_tokens": 40000}
TRAIN |= {"checkpoint_every": 300, "sample_every": 0, "sample_tokens": 4, "validation_every": 100}
TUNE = {"batch": 32, "max_tokens": 8, "forgetting_windows": 200}
METHODS: dict[str, dict[str, Any]] = {
    "full": {"learning_rate": 0.002},
    "lora": {"learning_rate": 0.01, "lora.rank": 16, "lora.alpha": 32},
}
EPOCHS = {"language": 6, "sum": 1, "book": 3}

Pairs = list[dict[str, str]]


def say(text: str) -> None:
    """Show progress and results as they come."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def call(module: str, *words: object) -> dict[str, Any]:
    """Run a command with `--json`; gives its result."""
    command = [sys.executable, "-m", module, *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800, cwd=REPOSITORY)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def sets(settings: Mapping[str, Any]) -> list[str]:
    """Settings as `--set` words."""
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Rows as JSONL."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def passages() -> Iterator[tuple[str, int, str]]:
    """Title, number and text of pieces of some 2,000 characters of every book."""
    for path in sorted((DATA / "text" / "books").glob("*.md.gz")):
        text = gzip.decompress(path.read_bytes()).decode("utf-8").replace("\r\n", "\n")
        title = path.name.split(".")[0].replace("-", " ")
        paragraphs, piece, number = text.split("\n\n"), "", 0
        for paragraph in paragraphs:
            piece += paragraph.strip() + "\n\n"
            if len(piece) > 2000:
                yield title, number, piece
                piece, number = "", number + 1


def language_pairs() -> Iterator[tuple[bool, dict[str, str]]]:
    """A hundred sentences of each language; every third is held out."""
    lines = gzip.decompress((DATA / "langid" / "lingua-sentences.tsv.gz").read_bytes()).decode("utf-8").splitlines()
    rows = (line.split("\t", 1) for line in lines)
    for number, (code, sentence) in enumerate(row for row in rows if row[0] in LANGUAGES):
        yield number % 3 == 0, {"prompt": f"{sentence[:120]}\nLanguage:", "answer": LANGUAGES[code]}


def sum_pairs() -> Iterator[tuple[bool, dict[str, str]]]:
    """The numbers of GPT-3's two-digit additions are held out; all other pairs below 100 are learned from."""
    lines = gzip.decompress((DATA / "eval" / "gpt3" / "two_digit_addition.jsonl.gz").read_bytes()).splitlines()
    held = {tuple(map(int, re.findall(r"\d+", json.loads(line)["context"]))) for line in lines}
    for one in range(100):
        for other in range(100):
            # A digit is a token of its own, whatever the vocabulary.
            prompt = f"Q: Is {' '.join(str(one))} plus {' '.join(str(other))} over 100?\nA:"
            yield (one, other) in held, {"prompt": prompt, "answer": "yes" if one + other > 100 else "no"}


def book_pairs() -> Iterator[tuple[bool, dict[str, str]]]:
    """Which book a passage is from: every tenth piece is held out, of the corpus as well."""
    for title, number, text in passages():
        start = text.find(" ", len(text) // 2)
        excerpt = " ".join(text[start : start + 200].split()[:-1])
        yield number % 10 == 0, {"prompt": f"{excerpt}\nBook:", "answer": title, "group": f"{title} {number}"}


def make_tasks(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Training and held-out pairs of each task."""
    tasks = {}
    for name, rows in (("language", language_pairs()), ("sum", sum_pairs()), ("book", book_pairs())):
        train: Pairs = []
        test: Pairs = []
        for held, row in rows:
            (test if held else train).append(row)
        random.Random(SEED).shuffle(test)
        tasks[name] = (write(folder / f"{name}-train.jsonl", train), write(folder / f"{name}-test.jsonl", test))
        say(f"{name}: {len(train):,} training pairs, {len(test):,} held out")
    return tasks


def pretrain(folder: Path) -> Path:
    """A run on the books, less the pieces that are held out."""
    began, root, run = time.monotonic(), folder / "corpus", folder / "base"
    rows = [{"id": f"{title} {n}", "text": text} for title, n, text in passages() if n % 10]
    pages = write(folder / "books.jsonl", rows)
    where, split = ("--root", root, "--workers", 1), sets({"validation": 0.03, "test": 0.05})
    key = ("--source", "books", "--partition", "1")
    call("flows.cli", "run", "clean", "--input", pages, *where, *key, "--set", "rules=[]")
    call("flows.cli", "run", "tokenizer", *where, *split, "--set", "vocabulary_size=1000")
    call("flows.cli", "run", "tokenize", *where, *split)
    plan = {"name": "main", "sequence_length": 128, "samples": TRAIN["batch"] * TRAIN["steps"]}
    call("flows.cli", "run", "mix", *where, *sets(plan))
    call("training", "train", "--root", root, "--mixture", "main", "--run", run, *sets(TRAIN))
    last = json.loads((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    about = f"{last['tokens']:,} tokens of books to a loss of {last['loss']:.2f}"
    say(f"pretrained on {about}, {time.monotonic() - began:.0f} s")
    return run


def table(*headings: str) -> None:
    """The head of a table; columns with a number sign are numbers."""
    say(f"\n| {' | '.join(heading.removesuffix('#') for heading in headings)} |")
    say(f"|{'|'.join('---:' if heading.endswith('#') else '---' for heading in headings)}|")


def line(*cells: object) -> None:
    """A line of a table."""
    say(f"| {' | '.join(map(str, cells))} |")


def score(estimate: Mapping[str, Any]) -> str:
    """A mean with its standard error."""
    return f"{estimate['value']:.3f} ± {estimate['standard_error']:.3f}"


def tune(base: Path, folder: Path, tasks: Mapping[str, tuple[Path, Path]]) -> tuple[bool, dict[str, Path]]:
    """The table of tasks × methods; whether every gain is beyond three standard errors, and the runs."""
    table(
        "task", "held out#", "method", "trained weights#", "gradients and optimizer, MB#", "steps#", "ms a step#",
        "exact match before", "after", "gain / standard error#", "commonest answer#", "bits per byte of held-out books",
    )  # fmt: skip
    good, runs = True, {}
    for (task, (train, test)), (method, own) in itertools.product(tasks.items(), METHODS.items()):
        out = folder / f"{task}-{method}"
        words = ("--run", base, "--data", train, "--test", test, "--out", out, "--method", method)
        done = call("training", "finetune", *words, *sets({**TUNE, **own, "epochs": EPOCHS[task]}))
        match, text = done["scores"]["exact_match"], done["forgetting"]
        gain = match["change"]["value"] / (match["change"]["standard_error"] or 1)
        good &= gain > 3
        line(
            task,
            done["test_pairs"],
            method,
            f"{done['trainable_parameters']:,}",
            f"{done['state_bytes'] / 1e6:.2f}",
            done["steps"],
            f"{1000 * done['training_seconds'] / done['steps']:.0f}",
            score(match["before"]),
            score(match["after"]),
            f"{gain:.1f}",
            f"{done['constant']['exact_match']:.3f}",
            f"{text['before']:.3f} → {text['after']:.3f}",
        )
        runs[f"{task}-{method}"] = out
    return good, runs


def weigh(base: Path, folder: Path, train: Path) -> None:
    """Peak memory of both methods at 85 million weights, in five steps."""
    description = read_run(str(base))
    assert description is not None
    shape = ModelConfig(
        vocabulary_size=description.model.vocabulary_size, context=256, layers=12, heads=12, width=768, band=64
    )
    large = folder / "large"
    Folder(str(large)).put_whole("tokenizer.json", (base / "tokenizer.json").read_bytes())
    write_run(str(large), description.model_copy(update={"model": shape, "mixture": "", "root": ""}))
    state = CheckpointState(step=0, tokens=0, plan_digest="", data={}, seed=0)
    save(str(large), state, GPT(shape, seed=0))
    some = write(folder / "some.jsonl", [json.loads(line) for line in train.read_text().splitlines()[:40]])
    size = f"{shape.num_parameters() / 1e6:.1f}M weights, 5 steps of 8 pairs"
    table(size, "trained weights#", "gradients and optimizer, MB#", "peak memory of the process, MB#", "s a step#")
    for method, own in METHODS.items():
        settings = sets({**own, "epochs": 1, "batch": 8, "precision": "fp32"})
        out = folder / f"large-{method}"
        words = ("--run", large, "--data", some, "--out", out, "--method", method)
        done = call("training", "finetune", *words, *settings)
        line(
            method,
            f"{done['trainable_parameters']:,}",
            f"{done['state_bytes'] / 1e6:.0f}",
            f"{done['memory_bytes'] / 1e6:.0f}",
            f"{done['training_seconds'] / done['steps']:.2f}",
        )


def same_tokens(runs: Mapping[str, Path], folder: Path, tasks: Mapping[str, tuple[Path, Path]]) -> bool:
    """Whether `transformers` generates what we do, greedily, after 20 held-out prompts of each run."""
    load, wanted = {}, {}
    for name, run in runs.items():
        export = folder / "exports" / name
        call("training", "export", "--run", run, "--out", export)
        loaded = load_model(str(run))
        config = GenerateConfig(temperature=0, max_tokens=12)
        lines = tasks[name.split("-")[0]][1].read_text(encoding="utf-8").splitlines()[:20]
        starts = [start_of(loaded, json.loads(line)["prompt"])[-100:] for line in lines]
        wanted[name] = [list(generate_ids(loaded.model, start, config, loaded.end_of_text)) for start in starts]
        about = {"ids": [starts[0]], "start": starts[0], "new": 12, "padded": starts, "text": "a", "code": True}
        load[name] = {"folder": str(export), **about}
    (folder / "job.json").write_text(json.dumps({"make": {}, "load": load}))
    command = [
        sys.executable,
        str(REPOSITORY / "tests/support/transformers_process.py"),
        str(folder / "job.json"),
        str(folder),
    ]
    environment = {**os.environ, "HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, env=environment, capture_output=True, check=True, timeout=1800)
    facts = json.loads((folder / "facts.json").read_text())
    equal = tokens = 0
    for name, ours in wanted.items():
        end = load_model(str(runs[name])).end_of_text
        theirs = [row[: row.index(end)] if end in row else row for row in facts[name]["alone"]]
        equal += sum(one == other for one, other in zip(ours, theirs, strict=True))
        tokens += sum(map(len, ours))
    whole = sum(map(len, wanted.values()))
    say(f"\nGreedy texts of `transformers` equal to ours: {equal} of {whole} ({tokens} tokens), {len(runs)} exports.")
    return equal == whole


def main() -> int:
    """Print the tables; 1 where a gain is too small or a token differs."""
    began = time.monotonic()
    about = f"Python {platform.python_version()}, PyTorch {torch.__version__}, {os.cpu_count()} cores"
    say(f"{datetime.now(UTC):%Y-%m-%d}, {about}\n")
    with tempfile.TemporaryDirectory(prefix="corpusmill-finetune-") as name:
        folder = Path(name)
        tasks = make_tasks(folder)
        base = pretrain(folder)
        good, runs = tune(base, folder, tasks)
        weigh(base, folder, tasks["book"][0])
        good &= same_tokens(runs, folder, tasks)
        say(f"\nAll in {time.monotonic() - began:.0f} s.")
        return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
