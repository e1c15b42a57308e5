"""Seeded corpora for the benchmarks of deduplication: pages with realistic lengths and families of near-duplicates.

Texts are sewn from passages of real ones (books, an encyclopedia, news, documentation, and for one family in ten the
Declaration of Human Rights in some language). A page belongs to a family; its members are exact copies of the first, or
differ from it in single words or by a passage, for similarities from 0.4 to 1. `python dedup_corpus.py ROOT DOCUMENTS`
commits such a corpus as the documents of partition `web/p`, and writes them as `texts.parquet` beside it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
_ALONE, _TEMPLATE = 0.72, 0.001  # shares of families of one page, and of up to 300 pages
_DEVIATION = 0.9  # of the logarithm of a page's words


def read_passages() -> tuple[list[str], list[str]]:
    """Words of English texts, and of texts in other languages."""
    english = [gzip.decompress(path.read_bytes()).decode() for path in sorted((DATA / "text/books").glob("*.gz"))]
    news = gzip.decompress((DATA / "dedup/plagiarism-articles/articles_1000.txt.gz").read_bytes()).decode()
    english += [line.partition(" ")[2] for line in news.splitlines()]
    pages = lzma.decompress((DATA / "dedup/versioned-docs/docs.jsonl.xz").read_bytes()).decode().splitlines()
    english += [json.loads(page)["text"] for page in pages]
    with tarfile.open(DATA / "html/udhr.tar.xz") as archive:
        other = [archive.extractfile(one).read().decode() for one in archive if one.isfile()]  # type: ignore[union-attr]
    other = [re.sub(r"<[^>]*>", " ", page) for page in other]
    return " ".join(english).split(), " ".join(other).split()


def _sewn(pool: list[str], words: int, rng: np.random.Generator) -> list[str]:
    text: list[str] = []
    while len(text) < words:
        start = int(rng.integers(len(pool) - 60))
        text += pool[start : start + int(rng.integers(20, 60))]
    return text[:words]


def _varied(base: list[str], pool: list[str], rng: np.random.Generator) -> list[str]:
    """A member of the family of `base`: of k changed words each takes five n-grams away and brings as many."""
    kind = rng.random()
    if kind < 0.25:
        return base
    similarity = rng.uniform(0.4, 1.0) if kind < 0.6 else rng.uniform(0.78, 1.0)
    text = list(base)
    if kind > 0.9:  # a passage more, such as another footer
        return text + _sewn(pool, max(1, int(len(base) * (1 / similarity - 1))), rng)
    changed = max(1, round(len(base) * (1 - similarity) / (5 * (1 + similarity))))
    for place, source in zip(rng.integers(len(base), size=changed), rng.integers(len(pool), size=changed), strict=True):
        text[place] = pool[source]
    return text


def _members(rng: np.random.Generator) -> int:
    kind = rng.random()
    if kind < _ALONE:
        return 1
    return int(rng.integers(50, 300)) if kind > 1 - _TEMPLATE else 1 + min(40, int(rng.geometric(0.45)))


def make_texts(documents: int, words: int, seed: int) -> Iterator[str]:
    """`documents` texts of `words` words in the mean; the first ones are the same for any number of documents."""
    english, other = read_passages()
    made = family = 0
    median = words / np.exp(_DEVIATION**2 / 2)
    while made < documents:
        rng = np.random.default_rng([seed, family])
        pool = other if family % 10 == 9 else english
        length = int(np.clip(rng.lognormal(np.log(median), _DEVIATION), 10, 50 * words))
        base = _sewn(pool, length, rng)
        members = min(_members(rng), documents - made)
        for member in range(members):
            yield " ".join(_varied(base, pool, rng) if member else base)
        made, family = made + members, family + 1


def commit(root_url: str, texts: Iterator[str], buckets: int) -> int:
    """Write the documents of partition `web/p`, with their number as their URL; bytes of text."""
    from pipelines.engine.settings import Engine
    from pipelines.engine.spill import bucket_of
    from pipelines.engine.staging import StagedTable, part_name, stage_parquet
    from pipelines.engine.unit import Unit, UnitOutput, run_unit
    from schemas.configs.base import StageConfig
    from schemas.corpus_root import CorpusRoot, PartitionKey
    from schemas.identity import content_hash, document_id
    from schemas.storage import Folder
    from schemas.tables import DOCUMENTS

    size = 0

    def work(folder: Folder) -> UnitOutput:
        nonlocal size
        kept: list[list[dict[str, object]]] = [[] for _ in range(buckets)]
        done: list[list[pa.Table]] = [[] for _ in range(buckets)]
        for number, text in enumerate(texts):
            content = content_hash(text)
            row = {"content_hash": content, "document_id": document_id("web", str(number), content), "text": text}
            bucket = bucket_of(row["document_id"], buckets)
            kept[bucket].append({**row, "source": "web", "partition": "p", "url": str(number)})
            size += len(text.encode())
            if len(kept[bucket]) == 2000:
                done[bucket].append(pa.Table.from_pylist(kept[bucket], schema=DOCUMENTS))
                kept[bucket] = []
        staged = []
        for bucket in range(buckets):
            done[bucket].append(pa.Table.from_pylist(kept[bucket], schema=DOCUMENTS))
            table = pa.concat_tables(done[bucket])
            done[bucket] = []
            if table.num_rows:
                staged.append(stage_parquet(folder, part_name(bucket), table, ["document_id"]))
        return UnitOutput(tables={"documents": StagedTable(folder, tuple(staged))})

    root = CorpusRoot(root_url)
    config = StageConfig()
    unit = Unit(
        root=root, stage="clean", version=1, key=PartitionKey("web", "p"), table="documents", config=config, inputs=()
    )
    run_unit(unit, Engine(), work)
    return size


def write_parquet(root: Path, path: Path) -> None:
    """The texts of a corpus as one file with columns `id` and `text`, by number, for other programs."""
    files = sorted((root / "documents/web/p").glob("*.parquet"))
    table = pa.concat_tables([pq.read_table(file, columns=["url", "text"]) for file in files])
    number = table["url"].cast(pa.int64())
    table = table.rename_columns(["id", "text"]).append_column("number", number).sort_by("number")
    pq.write_table(table.drop_columns(["number"]), path, compression="zstd", row_group_size=4096)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("documents", type=int)
    parser.add_argument("--words", type=int, default=1000, help="of a document in the mean")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--texts", action="store_true", help="write texts.parquet beside the root")
    given = parser.parse_args()
    from pipelines.engine.spill import bucket_count

    buckets = bucket_count(given.documents * given.words * 6)
    size = commit(str(given.root), make_texts(given.documents, given.words, given.seed), buckets)
    if given.texts:
        write_parquet(given.root, given.root.parent / f"{given.root.name}.parquet")
    print(size)


if __name__ == "__main__":
    main()
