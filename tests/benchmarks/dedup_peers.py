"""Other programs' deduplication of one Parquet file of `id` and `text`: what each removes, and how fast each signs.

All take words as matches of `\\w+` in lower case where they let us choose, 5-grams of them, and 18 bands of 6 rows;
rates of signatures are at 112 permutations. `python dedup_peers.py NAME FILE FOLDER WORKERS` prints the ids that go as
JSON; `python dedup_peers.py rate NAME FILE` prints megabytes a second of CPU time.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow.parquet as pq

TextsT = TypeVar("TextsT")
BANDS, ROWS, RATE_PERMUTATIONS = 18, 6, 112


def _batches(file: str, rows: int = 1000) -> Iterator[tuple[list[str], list[str]]]:
    for batch in pq.ParquetFile(file).iter_batches(rows, columns=["id", "text"]):
        yield batch["id"].to_pylist(), batch["text"].to_pylist()


def _grams(text: str) -> set[str]:
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + 5]) for i in range(len(words) - 4)}


def by_rensa(file: str, folder: Path, workers: int) -> list[str]:
    """rensa's digests in one process, its words and bands ours: a text that meets an earlier one in a band goes."""
    from rensa import RMinHash

    ids: list[str] = []
    blocks = []
    for names, texts in _batches(file):
        ids += names
        digests = RMinHash.digest_matrix_from_token_sets([_grams(text) for text in texts], BANDS * ROWS, 1)
        blocks.append(np.array(digests.to_rows(), dtype=np.uint32))
    digests = np.concatenate(blocks)
    gone = np.zeros(len(ids), dtype=bool)
    for band in range(BANDS):
        values = np.ascontiguousarray(digests[:, band * ROWS : (band + 1) * ROWS]).view(f"V{4 * ROWS}").ravel()
        _, first = np.unique(values, return_index=True)
        later = np.ones(len(ids), dtype=bool)
        later[first] = False
        gone |= later
    return [ids[place] for place in np.flatnonzero(gone)]


def by_datatrove(file: str, folder: Path, workers: int) -> list[str]:
    """Its four stages; words are split by an expression, as its own splitter wants models that are downloaded."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
    from datatrove.pipeline.dedup import minhash as module
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import JsonlWriter

    class Splitter:
        def word_tokenize(self, text: str) -> list[str]:
            return re.findall(r"\w+", text)

    module.load_word_tokenizer = lambda *_: Splitter()
    config = MinhashConfig(n_grams=5, num_buckets=BANDS, hashes_per_bucket=ROWS)
    inputs = folder / "in"
    inputs.mkdir(parents=True)
    table = pq.read_table(file)
    for part in range(workers):
        places = range(part * table.num_rows // workers, (part + 1) * table.num_rows // workers)
        pq.write_table(table.slice(places.start, len(places)), inputs / f"{part}.parquet", compression="zstd")
    reader = ParquetReader(str(inputs))
    places = {name: str(folder / name) for name in ("signatures", "buckets", "remove", "kept", "gone", "logs")}
    gone_writer = JsonlWriter(places["gone"])
    stages = [
        ([reader, MinhashDedupSignature(places["signatures"], config=config)], workers),
        ([MinhashDedupBuckets(places["signatures"], places["buckets"], config=config)], BANDS),
        ([MinhashDedupCluster(places["buckets"], places["remove"], config=config)], 1),
        ([reader, MinhashDedupFilter(places["remove"], gone_writer), JsonlWriter(places["kept"])], workers),
    ]
    for number, (steps, tasks) in enumerate(stages):
        LocalPipelineExecutor(
            steps, tasks=tasks, workers=workers, logging_dir=f"{places['logs']}/{number}", start_method="fork"
        ).run()
    gone = [gzip.decompress(path.read_bytes()).decode() for path in Path(places["gone"]).rglob("*.jsonl.gz")]
    return [json.loads(line)["id"] for text in gone for line in text.splitlines()]


def by_text_dedup(file: str, folder: Path, workers: int) -> list[str]:
    """Its command line; words are split at what is not a letter, digit or underscore of ASCII."""
    words = [sys.executable, "-m", "text_dedup.minhash", "--path", "parquet", "--data_files", file, "--split", "train"]
    words += ["--cache_dir", str(folder / "cache"), "--output", str(folder / "out"), "--column", "text"]
    words += [
        "--ngram",
        "5",
        "--num_perm",
        str(BANDS * ROWS),
        "--b",
        str(BANDS),
        "--r",
        str(ROWS),
        "--threshold",
        "0.8",
    ]
    words += ["--num_proc", str(workers), "--hash_func", "xxh3", "--hash_bits", "32"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home")}
    subprocess.run(words, check=True, capture_output=True, env=environment)
    from datasets import load_from_disk

    kept = set(load_from_disk(str(folder / "out"))["id"])
    return [name for names, _ in _batches(file) for name in names if name not in kept]


def _sign_by_rensa(texts: list[str]) -> None:
    from rensa import RMinHash

    RMinHash.digest_matrix_from_token_sets([_grams(text) for text in texts], RATE_PERMUTATIONS, 1)


def _sign_by_datasketch(texts: list[str]) -> None:
    from datasketch import MinHash

    for text in texts:
        MinHash(RATE_PERMUTATIONS).update_batch([gram.encode() for gram in _grams(text)] or [b""])


def _sign_by_datatrove(texts: list[str]) -> None:
    from datatrove.pipeline.dedup import minhash as module

    class Splitter:
        def word_tokenize(self, text: str) -> list[str]:
            return re.findall(r"\w+", text)

    module.load_word_tokenizer = lambda *_: Splitter()
    config = module.MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    step = module.MinhashDedupSignature("/nowhere", config=config)
    for text in texts:
        step.get_signature(step.get_shingles(text))


def _sign_by_text_dedup(texts: list[str]) -> None:
    from text_dedup.minhash import embed_func
    from text_dedup.utils.hashfunc import xxh3_32hash

    rng = np.random.RandomState(42)
    prime = np.uint32((1 << 32) - 5)
    drawn = [rng.randint(low, prime, size=(RATE_PERMUTATIONS,), dtype=np.uint32) for low in (1, 0)]
    for number, text in enumerate(texts):
        embed_func(
            content=text, idx=number, num_perm=RATE_PERMUTATIONS, ngram_size=5, min_length=5,
            hashranges=[(i * 8, i * 8 + 8) for i in range(14)], permutations=(drawn[0], drawn[1]),
            hash_func=xxh3_32hash, dtype=np.uint32, max_hash=np.uint32((1 << 32) - 1), modulo_prime=prime,
        )  # fmt: skip


MODULES = {"rensa": "rensa", "datasketch": "datasketch", "datatrove": "datatrove", "text-dedup": "text_dedup"}
REMOVERS: dict[str, Callable[[str, Path, int], list[str]]] = {
    "rensa": by_rensa,
    "datatrove": by_datatrove,
    "text-dedup": by_text_dedup,
}
SIGNERS: dict[str, Callable[[list[str]], None]] = {
    "rensa": _sign_by_rensa,
    "datasketch": _sign_by_datasketch,
    "datatrove": _sign_by_datatrove,
    "text-dedup": _sign_by_text_dedup,
}


def is_installed(name: str) -> bool:
    return importlib.util.find_spec(MODULES[name]) is not None


def rate(sign: Callable[[TextsT], None], few: TextsT, texts: TextsT, size: int) -> float:
    """Megabytes of UTF-8 a second of CPU time, the best of five; `few` are for what is done once."""
    sign(few)
    seconds = []
    for _ in range(5):
        started = time.process_time()
        sign(texts)
        seconds.append(time.process_time() - started)
    return size / min(seconds) / 1e6


def main() -> None:
    if sys.argv[1] == "rate":
        _, texts = next(_batches(sys.argv[3], 500))
        print(rate(SIGNERS[sys.argv[2]], texts[:20], texts, sum(len(text.encode()) for text in texts)))
        return
    name, file, folder, workers = sys.argv[1:]
    print(json.dumps(REMOVERS[name](file, Path(folder), int(workers))))


if __name__ == "__main__":
    main()
