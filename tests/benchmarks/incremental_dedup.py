"""What a new partition costs to deduplicate against those before it, beside what it costs alone.

    .venv/bin/python tests/benchmarks/incremental_dedup.py --documents 4000 --partitions 20

Partitions of synthetic pages are added one by one to one corpus. One page in ten repeats a page of the partition with
a few words changed, one in ten a page of any partition before it. At the 2nd, 5th and last partition the same pages are
deduplicated in an empty corpus too. CPU seconds of one worker, the least of three times, without the audit of the run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipelines.dedup.stage import run
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.engine.staging import StagedTable, part_name, stage_parquet
from pipelines.engine.unit import Unit, UnitOutput, run_unit
from schemas.configs.base import StageConfig
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.identity import content_hash, document_id
from schemas.manifest import InputRecord, fingerprint
from schemas.storage import Folder
from schemas.tables import DOCUMENTS

WORDS = 30_000
MEAN_WORDS = 500
TABLES = ("signatures", "edges", "bands", "duplicates", "clusters")


class Pages:
    """A seeded stream of pages; words by Zipf's law, lengths lognormal."""

    def __init__(self, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
        self._words = np.array(
            ["".join(self._draw.choice(letters, size)) for size in self._draw.integers(2, 11, WORDS)]
        )
        shares = 1 / np.arange(1, WORDS + 1)
        self._shares = np.cumsum(shares / shares.sum())
        self._earlier: list[list[str]] = []

    def _new(self) -> list[str]:
        count = int(np.clip(self._draw.lognormal(np.log(MEAN_WORDS) - 0.32, 0.8), 20, 20_000))
        return self._words[np.searchsorted(self._shares, self._draw.random(count))].tolist()

    def _changed(self, words: list[str]) -> list[str]:
        changed = list(words)
        for place in self._draw.integers(0, len(words), max(1, len(words) // 100)):
            changed[int(place)] = "changed"
        return changed

    def partition(self, documents: int) -> list[str]:
        """The texts of the next partition."""
        mine: list[list[str]] = []
        for _ in range(documents):
            kind = self._draw.random()
            if kind < 0.1 and mine:
                mine.append(self._changed(mine[self._draw.integers(len(mine))]))
            elif kind < 0.2 and self._earlier:
                mine.append(self._changed(self._earlier[self._draw.integers(len(self._earlier))]))
            else:
                mine.append(self._new())
        self._earlier += mine
        return [" ".join(words) for words in mine]


def put(root: CorpusRoot, key: PartitionKey, texts: list[str]) -> None:
    """Commit the documents of a partition."""
    rows = []
    for number, text in enumerate(texts):
        content = content_hash(text)
        url = f"http://{key.partition}.example/{number}"
        rows.append(
            {
                "document_id": document_id(key.source, url, content),
                "content_hash": content,
                "text": text,
                "url": url,
                "source": key.source,
                "partition": key.partition,
            }
        )

    def work(folder: Folder) -> UnitOutput:
        staged = stage_parquet(folder, part_name(0), pa.Table.from_pylist(rows, schema=DOCUMENTS), ["document_id"])
        return UnitOutput(tables={"documents": StagedTable(folder, (staged,))})

    inputs = (InputRecord(name="texts", digest=fingerprint(len(texts))),)
    unit = Unit(root=root, stage="clean", version=1, key=key, table="documents", config=StageConfig(), inputs=inputs)
    run_unit(unit, Engine(), work)


def cost(root: CorpusRoot, key: PartitionKey, times: int) -> tuple[float, int, int]:
    """CPU seconds to deduplicate a partition, the least of some times; documents that go, and pairs compared."""
    spent = []
    config = DedupConfig(audit_documents=0)
    for _ in range(times):
        for table in TABLES:
            root.partition_folder(table, key).remove_tree()
        request = StageRequest(root=root, config=config, engine=Engine(), source=key.source, partition=key.partition)
        started = time.process_time()
        result = run(request)
        spent.append(time.process_time() - started)
    counts = result.outcomes[-1].manifest.counts
    return min(spent), counts["exact_removed"] + counts["near_removed"], counts["candidate_pairs"]


def main() -> None:
    """Print one line for each partition that is looked at."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=4000, help="of one partition")
    parser.add_argument("--partitions", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    pages = Pages(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        corpus = CorpusRoot(f"{folder}/corpus")
        for number in range(1, given.partitions + 1):
            key, texts = PartitionKey("web", f"{number}"), pages.partition(given.documents)
            put(corpus, key, texts)
            shown = number in (1, 2, 5, given.partitions)
            spent, removed, pairs = cost(corpus, key, 3 if shown else 1)
            if not shown:
                continue
            alone = CorpusRoot(f"{folder}/alone-{number}")
            put(alone, key, texts)
            beside, removed_alone, pairs_alone = cost(alone, key, 3)
            print(
                f"partition {number:3d}: {spent:6.2f} s of CPU, {removed:5d} of {len(texts)} documents go, "
                f"{pairs} pairs compared; alone {beside:6.2f} s, {removed_alone} go, "
                f"{pairs_alone} pairs; ratio {spent / beside:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
