"""`make prove backfill`: twelve partitions of real pages through the whole chain, disturbed, end as if undisturbed.

Pages and WARC files of the test data are cut into dated slices. One corpus is made by an undisturbed backfill. The
backfill of the other one is killed with SIGKILL, then a process of one of its units is, and one slice loses all its
pages to the brake until it is poisoned; then the slice is mended, its failure forgotten, and the backfill resumed. Both
corpora have to have the same digest, and no process may be left. Prints the grid and a table for docs/proofs.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import psutil
from flink_chain import SHARES, questions, write_pages
from processes import command_of, marked, wait_until

from flows.backfill.claims import Claims
from schemas.corpus_root import CorpusRoot

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MARK, GONE_SECONDS = "CORPUSMILL_PROOF", 15.0
EMPTY = "<html><body><div></div></body></html>"
SETTINGS = (
    "clean.rules=[]",
    "clean.extractor=resiliparse",
    "clean.brake=0.9",
    "clean.brake_least_pages=20",
    *(f"{stage}.{share}" for stage in ("tokenizer", "tokenize") for share in SHARES),
    "tokenizer.vocabulary_size=1000",
    "tokenizer.sample_bytes=200000",
)


def say(text: str) -> None:
    """Show progress and results as they come."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write_slices(folder: Path, count: int) -> Path:
    """The pages in so many dated folders, each file in one; gives the folder of the evaluation set."""
    pages = write_pages(DATA, folder / "pages")
    for number, path in enumerate(sorted(one for one in pages.rglob("*") if one.is_file())):
        target = folder / "slices" / f"2026-{number % count + 1:02d}"
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target / f"{number:05d}-{path.name}")
    return questions(pages).parent


class Proof:
    """Two corpora of the same slices."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count
        self.questions = write_slices(folder, count)
        self.disturbed, self.plain = folder / "disturbed", folder / "undisturbed"
        self.env = {**os.environ, MARK: str(folder)}
        self.rows: list[str] = []
        self.failed = False

    def words(self, verb: str, root: Path, *more: str) -> list[str]:
        """A command of the backfill."""
        given = ["--root", str(root), "--source", "web", "--partitions", f"2026-01..2026-{self.count:02d}"]
        return [sys.executable, "-m", "flows.cli", "backfill", verb, "corpus", *given, *more]

    def run_words(self, root: Path) -> list[str]:
        """The command that begins it."""
        settings = [word for one in SETTINGS for word in ("--set", one)]
        given = ["--input", f"{self.folder}/slices/{{partition}}", "--evaluation", str(self.questions), *settings]
        return self.words("run", root, *given, "--local", "--max-active", "2", "--max-attempts", "2", "--json")

    def call(self, words: list[str], what: str, code: int = 0) -> str:
        """A command to its end; what it prints."""
        started = time.monotonic()
        ended = subprocess.run(words, env=self.env, capture_output=True, text=True, check=False)
        last = ended.stdout.strip().splitlines()[-1:] or ["{}"]
        counts = json.loads(last[0]).get("counts", {}) if last[0].startswith("{") else {}
        told = ", ".join(f"{number} {name}" for name, number in counts.items())
        self.note(what, time.monotonic() - started, told, ended.returncode == code)
        if ended.returncode != code:
            say(ended.stdout[-2000:] + ended.stderr[-2000:])
        return ended.stdout

    def note(self, what: str, seconds: float, told: str, passed: bool) -> None:
        """A row of the table."""
        self.failed |= not passed
        self.rows.append(f"| {what} | {seconds:.0f} | {told} | {'as expected' if passed else 'FAILED'} |")
        say(self.rows[-1])

    def kill_the_command(self) -> None:
        """Begin, and SIGKILL the command while two units are at work."""
        started, claims = time.monotonic(), Claims(CorpusRoot(str(self.disturbed)))
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(self.run_words(self.disturbed), env=self.env, stdout=quiet, stderr=quiet)
        wait_until(lambda: len(claims.held()) == 2 and len(self.units()) == 2, "two units at work")
        alive = len(marked(MARK, str(self.folder)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed = time.monotonic()
        while marked(MARK, str(self.folder)) and time.monotonic() - killed < GONE_SECONDS:
            time.sleep(0.05)
        left = len(marked(MARK, str(self.folder)))
        told = f"{alive} processes, all gone after {time.monotonic() - killed:.2f} s, {left} left"
        self.note("run, its command killed", killed - started, told, not left)

    def units(self) -> list[psutil.Process]:
        """The processes that do units, each below a supervisor of its own."""
        found = [one for one in marked(MARK, str(self.folder)) if "flows.cli run " in command_of(one)]
        return [one for one in found if "supervisor.py" not in command_of(one)]

    def kill_a_unit(self) -> None:
        """Go on, and SIGKILL the process of one unit; it is tried again."""
        started = time.monotonic()
        pipe = subprocess.PIPE
        with subprocess.Popen(self.run_words(self.disturbed), env=self.env, stdout=pipe, stderr=pipe) as process:
            wait_until(self.units, "a unit at work")[0].kill()
            out, _ = process.communicate()
        counts = json.loads(out.decode().strip().splitlines()[-1])["counts"]
        told = ", ".join(f"{number} {name}" for name, number in counts.items())
        self.note("run, a unit of it killed", time.monotonic() - started, told, process.returncode == 1)

    def poison(self, slice_: Path, aside: Path) -> None:
        """Let a slice hold nothing that gives text."""
        shutil.move(slice_, aside)
        slice_.mkdir()
        for number in range(20):
            (slice_ / f"{number}.html").write_text(EMPTY)

    def digest(self, root: Path) -> str:
        """The corpus digest."""
        words = [sys.executable, "-m", "flows.cli", "digest", str(root)]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1]


def prove(proof: Proof) -> bool:
    """All of it; gives whether it is proven."""
    slice_, aside = proof.folder / "slices" / "2026-02", proof.folder / "aside"
    proof.call(proof.run_words(proof.plain), "undisturbed run")
    proof.poison(slice_, aside)
    proof.kill_the_command()
    proof.kill_a_unit()
    resume = proof.words("resume", proof.disturbed, "--local", "--json")
    proof.call(resume, "resumed, a slice still without text", code=1)
    status = proof.words("status", proof.disturbed, "--json")
    poisoned = json.loads(proof.call(status, "status").splitlines()[-1])["counts"].get("poisoned")
    say(proof.call(proof.words("status", proof.disturbed, "--html", str(proof.folder / "grid.html")), "grid"))
    shutil.rmtree(slice_)
    shutil.move(aside, slice_)
    proof.call(proof.words("retry", proof.disturbed, "--json"), "slice mended, failure forgotten")
    proof.call(resume, "resumed")
    proof.call(resume, "resumed once more")
    say(proof.call(proof.words("status", proof.disturbed), "grid"))
    expected, found = proof.digest(proof.plain), proof.digest(proof.disturbed)
    left = len(marked(MARK, str(proof.folder)))
    say(f"\n{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.0f}, {proof.count} partitions\n")  # fmt: skip
    say("| what | seconds | told | |\n|---|---:|---|---|\n" + "\n".join(proof.rows))
    say(f"\nundisturbed digest `{expected}`, disturbed digest `{found}`, {poisoned} poisoned, {left} processes left")
    return found == expected and poisoned == 1 and not left and not proof.failed


def main() -> int:
    """Prove it in a temporary folder, which stays where something failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--partitions", type=int, default=12)
    folder = Path(tempfile.mkdtemp(prefix="backfill-"))
    passed = prove(Proof(folder, parser.parse_args().partitions))
    if passed:
        shutil.rmtree(folder)
    else:
        say(f"\nnot proven; see {folder}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
