"""Factories: committed documents tables, and one call of the stage."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from pipelines.dedup.stage import run
from pipelines.engine.settings import Engine
from pipelines.engine.spill import bucket_of
from pipelines.engine.stage import StageRequest, StageResult
from pipelines.engine.staging import StagedTable, part_name, stage_parquet
from pipelines.engine.unit import Unit, UnitOutput, run_unit
from schemas.catalog import read_table
from schemas.configs.base import StageConfig
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.identity import content_hash, document_id
from schemas.manifest import InputRecord, fingerprint
from schemas.storage import Folder
from schemas.tables import DOCUMENTS

_DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def document_row(key: PartitionKey, name: str, text: str, day: int) -> dict[str, Any]:
    content = content_hash(text)
    return {
        "document_id": document_id(key.source, name, content),
        "content_hash": content,
        "text": text,
        "source": key.source,
        "partition": key.partition,
        "url": name,
        "captured_at": _DAY + datetime.timedelta(days=day),
    }


@dataclass(frozen=True)
class Corpus:
    """A corpus under test."""

    root: CorpusRoot

    def put(
        self,
        partition: str,
        texts: Mapping[str, str] | Iterable[str],
        *,
        files: int = 1,
        source: str = "web",
        more: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> PartitionKey:
        """Commit documents, named as given or by their number, in `files` parts; `more` are further columns by name."""
        key = PartitionKey(source, partition)
        named = texts if isinstance(texts, Mapping) else {f"doc-{i}": text for i, text in enumerate(texts)}
        rows = [document_row(key, name, text, day) for day, (name, text) in enumerate(named.items())]
        for row in rows:
            row.update((more or {}).get(row["url"], {}))

        def work(folder: Folder) -> UnitOutput:
            staged = []
            for bucket in range(files):
                mine = [row for row in rows if bucket_of(row["document_id"], files) == bucket]
                if mine:
                    table = pa.Table.from_pylist(mine, schema=DOCUMENTS)
                    staged.append(stage_parquet(folder, part_name(bucket), table, ["document_id"]))
            return UnitOutput(tables={"documents": StagedTable(folder, tuple(staged))})

        content = InputRecord(name="texts", digest=fingerprint([sorted(named.items()), repr(more)]))
        unit = Unit(
            root=self.root,
            stage="clean",
            version=files,
            key=key,
            table="documents",
            config=StageConfig(),
            inputs=(content,),
        )
        run_unit(unit, Engine(), work)
        return key

    def request(self, *, workers: int = 1, partition: str | None = None, **settings: Any) -> StageRequest[DedupConfig]:
        return StageRequest(
            root=self.root, config=DedupConfig(**settings), engine=Engine(workers=workers), partition=partition
        )

    def dedup(self, *, workers: int = 1, partition: str | None = None, **settings: Any) -> StageResult:
        return run(self.request(workers=workers, partition=partition, **settings))

    def rows(self, table: str, partition: str, source: str = "web") -> list[dict[str, Any]]:
        return read_table(self.root, table, PartitionKey(source, partition)).to_pylist()

    def names(self, partition: str, source: str = "web") -> dict[bytes, str]:
        return {row["document_id"]: row["url"] for row in self.rows("documents", partition, source)}

    def removed(self, partition: str, source: str = "web") -> set[str]:
        """Names of the documents of a partition that go."""
        names = self.names(partition, source)
        return {names[row["removed_id"]] for row in self.rows("duplicates", partition, source)}


@pytest.fixture
def corpus(corpus_root: CorpusRoot) -> Corpus:
    """An empty corpus."""
    return Corpus(corpus_root)


@pytest.fixture(scope="session")
def make_corpus(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Corpus]:
    """Makes further empty corpora."""
    return lambda: Corpus(CorpusRoot(str(tmp_path_factory.mktemp("corpus"))))


def _chain(family: str, link: int, step: int = 15) -> str:
    return " ".join(f"{family}{i}" for i in range(link * step, link * step + 200))


@pytest.fixture(scope="session")
def chain() -> Callable[..., str]:
    """`chain(family, link, step=15)`: 200 words of an endless text, `step` further with each link.

    Neighbours share 196 - step of their 5-grams: Jaccard 0.858 for the default step, 0.735 for the next but one.
    """
    return _chain
