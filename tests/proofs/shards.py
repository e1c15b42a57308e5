"""`make prove shards`: the same token shards and indexes, whoever makes them, from whatever files, after any kill.

The chain clean, dedup, decontaminate, tokenizer, tokenize over real pages and texts: with one, two and four workers,
over the same files in another order, over the same items in other files, on a Flink cluster, and with five SIGKILLs at
random moments of its stages. Every corpus has to have the same digest, and every shard the same bytes. Prints the
tables for docs/proofs.md; takes ten minutes on two cores.
"""

from __future__ import annotations

import json
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from flink_chain import (
    STAGES,
    Cluster,
    conserved,
    digest,
    has_java,
    require,
    stage_command,
    write_pages,
    write_questions,
)
from same_rows import reordered, resharded, shard_digest, shard_files

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SEED, GONE_SECONDS = 20261130, 15.0
KILLED = ("clean", "dedup", "decontaminate", "tokenize")
SHARD_TOKENS = ("--set", "shard_tokens=250000")


def say(text: str) -> None:
    """Show progress and results as they come."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def command(stage: str, root: Path, inputs: Path, runner: str, workers: int) -> list[str]:
    """The words of one stage."""
    more = SHARD_TOKENS if stage == "tokenize" else ()
    return stage_command(stage, root, inputs, "--workers", str(workers), *more, runner=runner)


@dataclass
class Proof:
    """What was seen so far; the first corpus is what all others are compared with."""

    folder: Path
    local: Cluster
    expected: tuple[str, str] | None = None
    rows: list[str] = field(default_factory=list)
    kills: list[str] = field(default_factory=list)
    failed: bool = False

    def run(self, what: str, work: Callable[[Path], object]) -> None:
        """Make a corpus, note what its shards hold, and remove it."""
        root, started = self.folder / f"corpus-{len(self.rows)}", time.monotonic()
        work(root)
        seconds = time.monotonic() - started
        found, shards = (digest(self.local, root), shard_digest(root)), shard_files(root)
        self.expected = self.expected or found
        cut = json.loads((root / "contaminated" / "pages" / "one" / "manifest.json").read_text())["counts"]
        documents = conserved(root)[1]
        self.failed |= found != self.expected or not cut["cut_documents"] or len(shards) < 4
        self.rows.append(
            f"| {what} | {documents:,} | {cut['cut_documents']} | {len(shards)} | `{found[1][:16]}…` "
            f"| `{found[0][:16]}…` | {'equal' if found == self.expected else 'DIFFERS'} | {seconds:.0f} |"
        )
        say(self.rows[-1])
        if not self.failed:
            shutil.rmtree(root)

    def kill(self, stage: str, root: Path, inputs: Path, moment: float) -> None:
        """Start a stage, kill it at the moment, and watch everything of it go."""
        with self.local.start(*command(stage, root, inputs, "local", 2)) as process:
            time.sleep(moment)
            alive = len(self.local.processes())
            process.send_signal(signal.SIGKILL)
            process.communicate()
        started = time.monotonic()
        while self.local.processes() and time.monotonic() - started < GONE_SECONDS:
            time.sleep(0.05)
        gone, left = time.monotonic() - started, len(self.local.processes())
        self.failed |= bool(left) or not alive
        self.kills.append(f"| {len(self.kills) + 1} | {stage} | {moment:.1f} | {alive} | {gone:.2f} | {left} |")
        say(self.kills[-1])

    def killed_chain(self, inputs: Path, seconds: dict[str, float], root: Path) -> None:
        """The chain on two workers, with five kills on the way."""
        draws = random.Random(SEED)
        victims = [*KILLED, draws.choice(KILLED)]
        for stage in STAGES:
            for _ in range(victims.count(stage)):
                # Not near the end, where it may be through: a kill of nothing fails the proof.
                self.kill(stage, root, inputs, draws.uniform(0, 0.7 * seconds[stage]))
            require(self.local.call(*command(stage, root, inputs, "local", 2)))


def run_chain(cluster: Cluster, inputs: Path, runner: str, workers: int, root: Path) -> dict[str, float]:
    """All stages; gives the seconds that each took."""
    seconds = {}
    for stage in STAGES:
        started = time.monotonic()
        require(cluster.call(*command(stage, root, inputs, runner, workers)))
        seconds[stage] = time.monotonic() - started
    return seconds


def write_inputs(folder: Path) -> dict[str, Path]:
    """Pages in WARC and ARC files and alone, books, Wikipedia and JSONL, as they are and in other files."""
    plain = write_pages(DATA, folder / "plain")
    shutil.copytree(DATA / "text", plain / "text")
    inputs = {"plain": plain}
    for name, rewrite in (("reordered", reordered), ("resharded", resharded)):
        inputs[name] = rewrite(plain, folder / name, SEED)
        write_questions(inputs[name])
    return inputs


def prove(proof: Proof) -> None:
    """All corpora."""
    inputs, local, seconds = write_inputs(proof.folder / "inputs"), proof.local, dict[int, dict[str, float]]()

    def made(workers: int, root: Path) -> None:
        seconds[workers] = run_chain(local, inputs["plain"], "local", workers, root)

    for workers in (1, 2, 4):
        proof.run(f"local runner, workers: {workers}", partial(made, workers))
    for name, what in (("reordered", "files in another order"), ("resharded", "items in other files, mixed")):
        proof.run(f"local runner, workers: 2, {what}", partial(run_chain, local, inputs[name], "local", 2))
    killed = partial(proof.killed_chain, inputs["plain"], seconds[2])
    proof.run("local runner, workers: 2, five SIGKILLs", killed)
    cluster = Cluster(proof.folder / "flink")
    cluster.up()
    try:
        proof.run("Flink, two slots", partial(run_chain, cluster, inputs["plain"], "flink", 2))
        mixed = partial(run_chain, cluster, inputs["resharded"], "flink", 1)
        proof.run("Flink, one slot, items in other files, mixed", mixed)
    finally:
        cluster.down()


def main() -> int:
    """Prove it in a temporary folder, which stays where something failed."""
    if reason := has_java():
        sys.exit(f"Flink is part of this proof: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="shards-proof-"))
    proof = Proof(folder, Cluster(folder / "local"))
    prove(proof)
    say(f"\n{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores, seed {SEED}\n")
    say("| where | documents | cut | shards | shards and indexes | corpus digest | | seconds |")
    say("|---|---:|---:|---:|---|---|---|---:|")
    say("\n".join(proof.rows))
    say("\n| kill | during | after, s | processes | all gone after, s | left |\n|---:|---|---:|---:|---:|---:|")
    say("\n".join(proof.kills))
    if proof.failed:
        say(f"\nnot proven; see {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
