"""`make prove demo-kills`: the demo, killed at ten random moments, each time ends as if nothing had been.

One undisturbed run, then ten corpora: the demo is started, killed with SIGKILL at a moment drawn evenly over the time
of the undisturbed run, looked at for processes that outlive it, and called again until its end. Corpus digest, losses
and scores have to be equal. Prints a table for docs/proofs.md; takes about an hour on two cores; `--tiny` is
the size of the end-to-end tests.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "end_to_end"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from conftest import TINY, Demo

KILLS, SEED = 10, 20260301
SAME = ("digest", "steps", "loss", "validation_loss", "scores", "finetune_loss", "finetune_scores")
GONE_SECONDS = 15.0


@dataclass
class Kill:
    """One killed demo and its rerun."""

    moment: float
    step: str = "start"
    processes: int = 0
    gone: float = float("nan")
    left: int = 0
    rerun: float = float("nan")
    differences: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether it left nothing behind and changed nothing."""
        return not self.differences and not self.left


def fresh(folder: Path, name: str, tiny: bool) -> Demo:
    """A demo with a corpus of its own."""
    (folder / name / "home").mkdir(parents=True)
    about: dict[str, Any] = {"root": folder / name / "corpus", "home": folder / name / "home"}
    return Demo(**about, overrides=TINY) if tiny else Demo(**about, overrides=(), flags=())


def kill(demo: Demo, moment: float) -> Kill:
    """Start, kill at the moment, and watch everything go."""
    seen = Kill(moment)
    shown = demo.root.with_name("shown.txt")
    with shown.open("w") as stream:
        process = subprocess.Popen(demo.command(), env=demo.environment(), stdout=stream, stderr=stream)
        time.sleep(moment)
        alive = demo.processes()
        process.send_signal(signal.SIGKILL)
        started = time.monotonic()
        process.wait()
    begun = [line.split("]")[1].split()[0] for line in shown.read_text().splitlines() if line.startswith("[")]
    seen.step, seen.processes = (begun[-1] if begun else "start"), len(alive)
    while demo.processes() and time.monotonic() - started < GONE_SECONDS:
        time.sleep(0.05)
    seen.gone, seen.left = time.monotonic() - started, len(demo.processes())
    return seen


def compare(demo: Demo, expected: dict[str, Any]) -> list[str]:
    """What differs from the undisturbed run."""
    found = demo.summary()
    return [name for name in SAME if found[name] != expected[name]]


def say(text: str) -> None:
    """Show progress and results as they come."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(kills: list[Kill]) -> str:
    """The result as Markdown."""
    lines = [
        "| kill | after, s | during | processes | all gone after, s | left | rerun, s | digest, losses, scores |",
        "|---:|---:|---|---:|---:|---:|---:|---|",
    ]
    for number, one in enumerate(kills, start=1):
        verdict = "equal" if not one.differences else "differ: " + ", ".join(one.differences)
        lines.append(
            f"| {number} | {one.moment:.1f} | {one.step} | {one.processes} | {one.gone:.2f} | {one.left} "
            f"| {one.rerun:.0f} | {verdict} |"
        )
    return "\n".join(lines)


def prove(folder: Path, tiny: bool, kills: int) -> bool:
    """Run all of it; gives whether every kill passed."""
    reference = fresh(folder, "undisturbed", tiny)
    undisturbed = reference.run()
    if undisturbed.code != 0:
        raise SystemExit(f"the undisturbed run failed:\n{undisturbed.out}\n{undisturbed.err}")
    expected = reference.summary()
    say(f"undisturbed: {undisturbed.seconds:.0f} s, digest {expected['digest']}, loss {expected['loss']!r}")
    draws, results = random.Random(SEED), []
    for number in range(kills):
        demo = fresh(folder, f"kill-{number}", tiny)
        one = kill(demo, draws.uniform(0, undisturbed.seconds))
        ended = demo.run()
        one.rerun = ended.seconds
        one.differences = compare(demo, expected) if ended.code == 0 else [f"exit code {ended.code}: {ended.err}"]
        results.append(one)
        say(f"kill {number + 1}/{kills} during {one.step}: {'passed' if one.passed else 'FAILED'}")
        if one.passed:
            shutil.rmtree(demo.root.parent)
    about = f"Python {platform.python_version()}, {os.cpu_count()} cores, seed {SEED}"
    say(f"\n{datetime.now(UTC):%Y-%m-%d}, {about}{', tiny settings' if tiny else ''}")
    say(f"Undisturbed run {undisturbed.seconds:.0f} s, digest `{expected['digest']}`, loss {expected['loss']:.6f}.\n")
    say(table(results))
    return all(one.passed for one in results)


def main() -> int:
    """Prove it in a temporary folder, which stays where something failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="the settings of the end-to-end tests")
    parser.add_argument("--kills", type=int, default=KILLS)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="demo-kills-"))
    passed = prove(folder, arguments.tiny, arguments.kills)
    if passed:
        shutil.rmtree(folder)
    else:
        say(f"\nnot proven; see {folder}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
