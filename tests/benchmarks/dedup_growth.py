"""`make bench-dedup-growth`: what a document costs `corpusmill run dedup` in corpora of 10,000 to 1,000,000.

Texts are those of `dedup_corpus.py`, of 100 words in the mean, so that the largest corpus is 0.6 GB and what does not
depend on the length of a text counts for most. Start-up is what the run takes on 50 texts; it is left out of the cost
of a document. Memory is the most that any one process had.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from our_dedup import HERE, OURS, environment, ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--words", type=int, default=100, help="of a document in the mean")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--set", action="append", default=[], help="settings of the stage, such as memory_mib=512")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-dedup-growth-"))
    print(f"{given.words} words a document in the mean, {given.workers} workers")
    heads = ["documents", "MB", "CPU-s", "wall", "CPU-ms a document beyond start-up", "wall-ms", "MB, largest", "gone"]
    print(f"| {' | '.join(heads)} |\n|{'---:|' * len(heads)}")
    start = None
    for documents in [50, *given.documents]:
        root = folder / str(documents)
        words = [str(OURS), str(HERE / "dedup_corpus.py"), str(root), str(documents), "--words", str(given.words)]
        done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True)
        if start is None:
            ours(root, given.workers, given.set)  # so that nothing is compiled in what is measured
        usage, gone = ours(root, given.workers, given.set)
        start = start or usage
        cost = [1e3 * spent / documents for spent in (usage.cpu - start.cpu, usage.wall - start.wall)]
        row = [f"{documents:,}", f"{int(done.stdout) / 1e6:.0f}", f"{usage.cpu:.1f}", f"{usage.wall:.1f}"]
        row += [*(f"{one:.3f}" for one in cost), f"{usage.largest / 1e6:.0f}", f"{len(gone):,}"]
        print(f"| {' | '.join(row)} |", flush=True)
        shutil.rmtree(root)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
