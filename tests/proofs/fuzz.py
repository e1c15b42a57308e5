"""`make prove fuzz`: whatever bytes parsers meet, they give a result, a dead letter or one of the project's own errors.

Atheris, the coverage-guided fuzzer for Python (libFuzzer over instrumented bytecode), changes real inputs for so many
seconds a target; an input that reaches a branch of ours that none before reached is kept and changed further. Prints
the table for docs/proofs.md: seconds are those of the whole process, with its start, rates those of fuzzing alone;
inputs that were found stay in a folder that it names. Options: --seconds (60 a target), --targets (all), --seed.
"""

from __future__ import annotations

import argparse
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests/support"), str(REPOSITORY / ".venv-fuzz")]

HANG_SECONDS, MOST_MEBIBYTES = 30, 4096
# Numba reads the bytecode of these, so that it has to stay as it is.
COMPILED = re.compile(r"^from pipelines\.engine\.compiled |^from numba |^import numba", re.MULTILINE)


def say(text: str) -> None:
    """Show results as they come."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def compiled_modules() -> list[str]:
    """Modules that must not be instrumented."""
    paths = (path for name in ("pipelines", "training", "schemas") for path in (REPOSITORY / name).rglob("*.py"))
    found = [path for path in paths if COMPILED.search(path.read_text(encoding="utf-8"))]
    return [".".join(path.relative_to(REPOSITORY).with_suffix("").parts) for path in found]


def where(error: BaseException) -> str:
    """The kind of an error, and the line of ours that it went through last."""
    ours = [one for one in traceback.extract_tb(error.__traceback__) if Path(one.filename).is_relative_to(REPOSITORY)]
    ours = [one for one in ours if ".venv" not in one.filename]
    return f"{type(error).__name__} at {Path(ours[-1].filename).relative_to(REPOSITORY)}:{ours[-1].lineno}"


def fuzz(name: str, folder: Path, arguments: list[str]) -> None:
    """One target in this process, until its time is over; each kind of finding is kept once."""
    import atheris

    with atheris.instrument_imports(include=["schemas", "pipelines", "training"], exclude=compiled_modules()):
        import fuzz_targets
    from fuzz_mutations import mutated

    target = fuzz_targets.targets(REPOSITORY)[name]
    seeds = [seed[: target.longest] for seed in target.seeds()]
    corpus, found = folder / "corpus", folder / "found"
    corpus.mkdir()
    found.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number:02d}").write_bytes(seed)
        fuzz_targets.finding(target, seed)  # loads models and compiles kernels before the clock runs
    known: set[str] = set()

    def one(data: bytes) -> None:
        error = fuzz_targets.finding(target, data)
        if error is not None and (place := where(error)) not in known:
            known.add(place)
            (found / f"{len(known)}.bin").write_bytes(data)
            with (found / "list.txt").open("a") as stream:
                stream.write(f"{place}: {' '.join(str(error).split()):.160}\n")

    def change(data: bytes, most: int, seed: int) -> bytes:
        # Half of the changes are libFuzzer's, half our own: long numbers, deep brackets, pieces of other seeds.
        draw = random.Random(seed)
        return atheris.Mutate(data, most) if seed % 2 else mutated(data, draw, seeds, most)

    atheris.Setup([sys.argv[0], *arguments, str(corpus)], one, custom_mutator=change, internal_libfuzzer=True)
    atheris.Fuzz()


def numbers(log: str) -> dict[str, str]:
    """What libFuzzer printed of a target: its last status line, and its statistics."""
    status = re.findall(r"#\d+\s+\w+\s+cov: (\d+) ft: \d+ corp: (\d+)/", log)
    found = dict(zip(("edges", "corpus"), status[-1], strict=True)) if status else {}
    return found | dict(re.findall(r"stat::(\w+):\s+(\d+)", log))


def measure(name: str, folder: Path, seconds: int, seed: int) -> int:
    """One target in a process of its own: its row; gives the number of findings."""
    import fuzz_targets

    folder.mkdir(parents=True)
    limits = [f"-timeout={HANG_SECONDS}", f"-rss_limit_mb={MOST_MEBIBYTES}", f"-artifact_prefix={folder}/ended-by-"]
    words = [f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1", "-detect_leaks=0", *limits]
    words.append(f"-max_len={fuzz_targets.targets(REPOSITORY)[name].longest}")
    began = time.monotonic()
    command = [sys.executable, __file__, "--in-process", name, str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    took = time.monotonic() - began
    (folder / "log.txt").write_text(done.stdout + done.stderr)
    said = numbers(done.stderr)
    listed = folder / "found/list.txt"
    findings = listed.read_text().splitlines() if listed.is_file() else []
    findings += [f"exit code {done.returncode}, see {folder / 'log.txt'}"] if done.returncode else []
    executions = int(said.get("number_of_executed_units", 0))
    rate = executions / min(took, seconds)
    kept = len(list((folder / "corpus").iterdir()))
    peak = said.get("peak_rss_mb", "?")
    row = [name, f"{took:.0f}", f"{executions:,}", f"{rate:,.0f}", said.get("edges", "?"), kept, peak, len(findings)]
    say(f"| {' | '.join(map(str, row))} |")
    for one in findings:
        sys.stderr.write(f"{name}: {one}\n")
    return len(findings)


def main() -> int:
    """Print the table; 1 where something was found."""
    if sys.argv[1:2] == ["--in-process"]:
        fuzz(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
        return 0
    import fuzz_targets

    known = list(fuzz_targets.targets(REPOSITORY))
    parser = argparse.ArgumentParser(prog="make prove fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="of each target")
    parser.add_argument("--targets", nargs="+", choices=known, default=known, metavar="NAME", help=", ".join(known))
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="corpusmill-fuzz-"))
    about = f"Python {platform.python_version()}, Atheris {version('atheris')}, seed {given.seed}"
    say(f"{datetime.now(UTC):%Y-%m-%d}, {about}\n")
    say("| target | seconds | executions | executions/s | edges covered | corpus | peak memory, MB | findings |")
    say("|---|---:|---:|---:|---:|---:|---:|---:|")
    found = sum(measure(name, folder / name, given.seconds, given.seed) for name in given.targets)
    sys.stderr.write(f"corpora, findings and logs are in {folder}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
