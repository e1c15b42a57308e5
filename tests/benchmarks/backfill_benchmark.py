"""`make bench-backfill`: what planning, submitting and running partitions costs beside the work itself.

Corpora of thousands of partitions are made of manifests alone, by the stages' own units, so that plans are of done
partitions, which are the dearest. Seconds are those of a whole command, and of one that only prints the version.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from fake_units import FakeCorpus, commit
from prefect_services import Services

from pipelines.cleaning.stage import clean_unit, input_files
from pipelines.decontamination.evaluation_files import digests_of, find_files
from pipelines.decontamination.stage import STAGE_VERSION as DECONTAMINATE_VERSION
from pipelines.decontamination.units import DecontaminateUnits
from pipelines.dedup.stage import STAGE_VERSION
from pipelines.dedup.units import DedupUnits
from pipelines.tokens.tokenize_stage import checked_tokenizer, tokenize_unit
from schemas.corpus_root import PartitionKey

CORPUSMILL = str(Path(sys.executable).with_name("corpusmill"))


def say(text: str) -> None:
    """Show progress and results as they come."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def names(count: int) -> list[str]:
    """Names of partitions."""
    return [f"day-{number:05d}" for number in range(count)]


def range_of(count: int) -> str:
    """The same as a range."""
    return f"day-{0:05d}..day-{count - 1:05d}"


def make_corpus(folder: Path, count: int) -> FakeCorpus:
    """A corpus of so many partitions that went through the whole chain."""
    corpus = FakeCorpus(folder)
    corpus.tokenizer()
    keys = [PartitionKey("web", name) for name in names(count)]
    for key in keys:
        corpus.raw(key.partition)
        request = corpus.request("clean", key.partition)
        commit(clean_unit(request, input_files(request)))
    dedup = DedupUnits(corpus.root, corpus.request("dedup", None).config, STAGE_VERSION, keys)
    request = corpus.request("decontaminate", None)
    cuts = DecontaminateUnits(corpus.root, request.config, DECONTAMINATE_VERSION, keys)
    commit(cuts.items(digests_of(find_files(request.inputs))))
    commit(cuts.ngrams())
    for unit in (dedup.signatures, dedup.edges, dedup.decisions, cuts.overlaps, cuts.decisions):
        for position in range(count):
            commit(unit(position))
    commit(cuts.lists())
    request = corpus.request("tokenize", None)
    tokenizer = checked_tokenizer(request)
    for key in keys:
        commit(tokenize_unit(request, tokenizer, key))
    return corpus


def timed(*words: str) -> tuple[float, float, dict]:
    """Seconds by the clock and of the processor that a command takes, and what it prints."""
    before, started = os.times(), time.monotonic()
    ended = subprocess.run([CORPUSMILL, *words], capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - started, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    line = ended.stdout.strip().splitlines()[-1:] or ["{}"]
    found = json.loads(line[0]) if line[0].startswith("{") else {}
    if ended.returncode not in (0, 1) or "error" in found:
        raise SystemExit(f"{' '.join(words)}: {ended.stderr}")
    return seconds, used, found


def measure(corpus: FakeCorpus, stage: str, count: int, verb: str, *more: str) -> tuple[float, float, dict]:
    """One command of a backfill."""
    given = ["--root", corpus.root.url, "--source", "web", "--partitions", range_of(count), "--json", *more]
    given += ["--input", corpus.template] if stage in ("clean", "corpus") else []
    given += ["--evaluation", str(corpus.questions)] if stage in ("decontaminate", "corpus") else []
    return timed("backfill", verb, stage, *given)


def plans(corpus: FakeCorpus, count: int) -> None:
    """Plans of partitions that are done, and of none that is."""
    start, start_cpu, _ = min(timed("--version") for _ in range(3))
    say(f"\nstart-up {start:.2f} s, {start_cpu:.2f} CPU-s\n")
    say("| what | partitions | s | CPU-s | s beyond start-up | CPU-s beyond | decisions |")
    say("|---|---:|---:|---:|---:|---:|---|")
    ledger = Path(corpus.root.url) / "ledger"

    def row(what: str, seconds: float, used: float, found: dict) -> None:
        counts = ", ".join(f"{number:,} {name}" for name, number in found["counts"].items())
        beyond = f"{seconds - start:.2f} | {used - start_cpu:.2f}"
        say(f"| {what} | {len(found['partitions']):,} | {seconds:.2f} | {used:.2f} | {beyond} | {counts} |")

    for stage in ("clean", "dedup", "decontaminate", "tokenize", "corpus"):
        shutil.rmtree(ledger, ignore_errors=True)
        row(f"plan {stage}, ledger lost", *measure(corpus, stage, count, "plan"))
        row(f"plan {stage}", *min(measure(corpus, stage, count, "plan") for _ in range(2)))
    small = min(1000, count)
    row("run clean --local, nothing to do", *measure(corpus, "clean", small, "run", "--local"))
    row("run corpus --local, nothing to do", *measure(corpus, "corpus", small, "run", "--local"))


def overhead(folder: Path, count: int) -> None:
    """What a partition of a backfill costs beyond the commands that do the work."""
    pages = Path(folder) / "pages"
    for name in names(count):
        (pages / name).mkdir(parents=True)
        (pages / name / "a.txt").write_text(f"The harvest of {name} was good, and the mill ran day and night. " * 20)
    settings = ("--set", "rules=[]", "--workers", "1")
    alone = [
        timed("run", "clean", "--root", f"{folder}/alone", "--source", "web", "--partition", name, "--input",
              f"{pages}/{name}", *settings, "--json")
        for name in names(count)
    ]  # fmt: skip
    given = ("--root", f"{folder}/together", "--source", "web", "--partitions", range_of(count), "--json", "--local")
    more = ("--input", f"{pages}/{{partition}}", "--max-active", "1", *settings)
    seconds, used, found = timed("backfill", "run", "clean", *given, *more)
    assert found["counts"] == {"done": count}, found["counts"]
    start, start_cpu, _ = min(timed("backfill", "run", "clean", *given, *more) for _ in range(2))
    one_by_one, one_by_one_cpu = sum(one[0] for one in alone), sum(one[1] for one in alone)
    per, per_cpu = (seconds - one_by_one - start) / count, (used - one_by_one_cpu - start_cpu) / count
    say(f"\n{count} partitions one by one: {one_by_one:.2f} s, {one_by_one_cpu:.2f} CPU-s")
    say(f"as a backfill: {seconds:.2f} s, {used:.2f} CPU-s; when all is done: {start:.2f} s, {start_cpu:.2f} CPU-s")
    say(f"overhead a partition: {per:.2f} s, {per_cpu:.2f} CPU-s")


def submitting(folder: Path, count: int) -> None:
    """What it takes to ask a server on SQLite for so many runs; its worker begins the first of them meanwhile."""
    services = Services(folder / "home", ("port=0", "data_runs=1", "grace_seconds=1"))
    corpus = FakeCorpus(folder)
    for name in names(count):
        corpus.raw(name)
    given = ["clean", "--root", corpus.root.url, "--source", "web", "--partitions", range_of(count), "--json"]
    given += ["--input", corpus.template]
    services.up()
    os.environ.update(services.environment())
    try:
        say("\n| what | runs | s | runs/s | CPU-s of the command |\n|---|---:|---:|---:|---:|")
        for what in ("submit", "submit the same again"):
            seconds, used, found = timed("backfill", "run", *given)
            runs = found["runs_made"] + found["runs_known"]
            assert runs + found["counts"].get("done", 0) == count, found["counts"]
            say(f"| {what} | {found['runs_made']:,} | {seconds:.2f} | {runs / seconds:,.0f} | {used:.2f} |")
        seconds, used, _ = timed("backfill", "cancel", *given[:-2])
        say(f"| cancel | {count:,} | {seconds:.2f} | {count / seconds:,.0f} | {used:.2f} |")
    finally:
        services.down()


def main() -> int:
    """Measure all of it in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--partitions", type=int, default=10_000, help="partitions that are planned; 0 for none")
    parser.add_argument("--submitted", type=int, default=1000, help="runs that Prefect is asked for; 0 for none")
    parser.add_argument("--runs", type=int, default=6, help="partitions that are really run; 0 for none")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-backfill-"))
    try:
        say(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores, load "
            f"{os.getloadavg()[0]:.0f}")  # fmt: skip
        if arguments.partitions:
            plans(make_corpus(folder / "many", arguments.partitions), arguments.partitions)
        if arguments.runs:
            overhead(folder / "few", arguments.runs)
        if arguments.submitted:
            submitting(folder / "submitted", arguments.submitted)
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
