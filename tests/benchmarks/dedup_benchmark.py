"""`make bench-dedup`: near-duplicates removed by `corpusmill run dedup` and by other programs, on the same texts.

Texts are those of `dedup_corpus.py`. Rates of signatures are of one core, text in, at 112 permutations. A whole run is
a process of its own that reads Parquet; start-up is what it takes on 50 texts. Two shares are counted against every
pair of 0.8 or more (`true_pairs.py`): pairs of which not both are kept, and removed texts of which such a twin is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import dedup_peers
import pyarrow.parquet as pq
from our_dedup import HERE, OURS, environment, ours
from true_pairs import true_pairs
from watched_run import Usage, watched

OUR_RATE = """
import sys, pyarrow.parquet as pq
from dedup_peers import rate
from pipelines.dedup.minhash import Permutations, minhash
from pipelines.dedup.shingles import shingle_sets
permutations = Permutations.draw(112, 1)
texts = next(pq.ParquetFile(sys.argv[1]).iter_batches(500, columns=["text"]))["text"]
size = sum(len(text.encode()) for text in texts.to_pylist())
print(rate(lambda some: minhash(shingle_sets(some, 5, 10), permutations), texts[:20], texts, size))
"""


def run(name: str, root: Path, workers: int) -> tuple[Usage, list[str]]:
    if name == "corpusmill":
        return ours(root, workers)
    folder = Path(tempfile.mkdtemp(prefix="bench-dedup-", dir=root.parent))
    try:
        file = root.parent / f"{root.name}.parquet"
        words = [sys.executable, str(HERE / "dedup_peers.py"), name, str(file), str(folder / "work"), str(workers)]
        usage = watched(words, environment())
        return usage, json.loads(usage.output.splitlines()[-1])
    finally:
        shutil.rmtree(folder)


def shares(gone: set[str], pairs: dict[tuple[int, int], float]) -> tuple[float, float]:
    """Of pairs, those of which not both are kept; of what is gone, that of which a twin at the threshold is kept."""
    covered = sum(str(one) in gone or str(other) in gone for one, other in pairs)
    twins = {str(b) for a, b in pairs if str(a) not in gone} | {str(a) for a, b in pairs if str(b) not in gone}
    return covered / len(pairs), len(gone & twins) / len(gone)


def print_rates(file: Path) -> None:
    base = 0.0
    print("| signatures, text in, 112 permutations | MB/s a core | ratio |\n|---|---:|---:|")
    for name in [*filter(dedup_peers.is_installed, dedup_peers.SIGNERS), "corpusmill"]:
        words = [str(OURS), "-c", OUR_RATE, str(file)] if name == "corpusmill" else []
        words = words or [sys.executable, str(HERE / "dedup_peers.py"), "rate", name, str(file)]
        done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True)
        rate = float(done.stdout.splitlines()[-1])
        base = base or rate
        print(f"| {name} | {rate:.1f} | {rate / base:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=17_911)
    parser.add_argument("--words", type=int, default=1000, help="of a document in the mean")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    installed = [name for name in dedup_peers.REMOVERS if dedup_peers.is_installed(name)]
    parser.add_argument("--programs", nargs="+", default=[*installed, "corpusmill"])
    parser.add_argument("--no-rates", action="store_true")
    parser.add_argument("--no-shares", action="store_true", help="spare the search for every true pair")
    given = parser.parse_args()
    for name in set(dedup_peers.REMOVERS) - set(installed):
        print(f"{name} is not installed here and is left out")
    folder = Path(tempfile.mkdtemp(prefix="bench-dedup-"))
    sizes = {}
    for name, documents in (("few", 50), ("many", given.documents)):
        words = [str(OURS), str(HERE / "dedup_corpus.py"), str(folder / name), str(documents), "--texts"]
        words += ["--words", str(given.words)]
        done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True)
        sizes[name] = int(done.stdout)
    if not given.no_rates:
        print_rates(folder / "many.parquet")
    texts = pq.read_table(folder / "many.parquet", columns=["text"])["text"].to_pylist()
    pairs = {} if given.no_shares else true_pairs(texts, 0.8)
    size = f"{given.documents:,} texts, {sizes['many'] / 1e6:.0f} MB"
    print(f"\n{size}, {len(pairs):,} pairs >= 0.8, {given.workers} workers\n")
    heads = "start-up, CPU-s|wall|whole, CPU-s|wall|CPU-s beyond|wall beyond|MB together|MB largest|gone"
    print(f"| |{heads}|pairs not both kept|gone with a kept twin|\n|---|{'---:|' * 11}")
    for name in given.programs:
        run(name, folder / "few", given.workers)  # so that nothing is compiled in what is measured
        few, _ = run(name, folder / "few", given.workers)
        many, gone = run(name, folder / "many", given.workers)
        found = "| – | –" if given.no_shares else "| {:.4f} | {:.4f}".format(*shares(set(gone), pairs))
        taken = [few.cpu, few.wall, many.cpu, many.wall, many.cpu - few.cpu, many.wall - few.wall]
        row = [name, *(f"{one:.1f}" for one in taken), f"{many.together / 1e6:.0f}", f"{many.largest / 1e6:.0f}"]
        print("| " + " | ".join(row) + f" | {len(gone):,} {found} |", flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
