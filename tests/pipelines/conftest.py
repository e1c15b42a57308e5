"""Committed tables without the stages that write them, for the tests of stages that read them."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from pipelines.cleaning.sentences import sentence_ends
from pipelines.engine.settings import Engine
from pipelines.engine.spill import bucket_of
from pipelines.engine.staging import StagedTable, part_name, stage_parquet
from pipelines.engine.unit import Unit, UnitOutput, run_unit
from schemas.catalog import manifest_table
from schemas.configs.base import StageConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.identity import content_hash, document_id
from schemas.manifest import InputRecord, Manifest
from schemas.storage import Folder
from schemas.tables import TABLES

_SORTED_BY = {"documents": ["document_id"]}


def some_value(kind: pa.DataType, seed: str) -> Any:
    """A value of an Arrow type that depends on nothing but `seed`."""
    noise = hashlib.sha256(seed.encode()).digest()
    number = int.from_bytes(noise[:3], "big")
    if pa.types.is_fixed_size_binary(kind):
        return noise[: kind.byte_width]
    if pa.types.is_list(kind):
        return [some_value(kind.value_type, f"{seed}.{i}") for i in range(number % 3)]
    if pa.types.is_map(kind):
        return [(f"rule-{i}", some_value(kind.item_type, f"{seed}.{i}")) for i in range(number % 3)]
    if pa.types.is_timestamp(kind):
        return datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=number)
    if pa.types.is_floating(kind):
        return float(number)
    return number if pa.types.is_integer(kind) else f"{seed} {noise.hex()[:8]}"


def document_row(key: PartitionKey, name: str, text: str) -> dict[str, Any]:
    """A row of `documents/` whose URL is `name`."""
    content = content_hash(text)
    return {
        "document_id": document_id(key.source, name, content),
        "content_hash": content,
        "text": text,
        "source": key.source,
        "partition": key.partition,
        "url": name,
        "record_file": "a.warc.gz",
        "record_offset": 7,
        "sentence_ends": sentence_ends(text, "en"),
    }


@dataclass(frozen=True)
class CorpusWriter:
    """Commits tables into a corpus."""

    root: CorpusRoot

    def rows(self, table: str, count: int) -> list[dict[str, Any]]:
        """Rows of a table, each with a value in every column."""
        schema = TABLES[table]
        return [{field.name: some_value(field.type, f"{field.name}-{i}") for field in schema} for i in range(count)]

    def tables(
        self, key: PartitionKey, tables: Mapping[str, Sequence[Mapping[str, Any]]], *, files: int = 1
    ) -> Manifest:
        """Commit tables of one unit, each in `files` parts by the leading bits of its first column."""

        def work(folder: Folder) -> UnitOutput:
            staged = {}
            for name, rows in tables.items():
                place, schema, parts = folder.child(name), TABLES[name], []
                for bucket in range(files):
                    mine = [row for row in rows if files == 1 or bucket_of(row[schema.names[0]], files) == bucket]
                    if mine:
                        table = pa.Table.from_pylist(mine, schema=schema)
                        parts.append(stage_parquet(place, part_name(bucket), table, _SORTED_BY.get(name)))
                staged[name] = StagedTable(place, tuple(parts))
            return UnitOutput(tables=staged)

        first = next(iter(tables))
        content = InputRecord(name="rows", digest=hashlib.sha256(repr((tables, files)).encode()).hexdigest())
        unit = Unit(
            root=self.root,
            stage=f"write-{first}",
            version=1,
            key=key,
            table=manifest_table(first),
            config=StageConfig(),
            inputs=(content,),
        )
        return run_unit(unit, Engine(), work).manifest

    def documents(
        self, partition: str, texts: Mapping[str, str] | Iterable[str], *, source: str = "web", files: int = 1
    ) -> PartitionKey:
        """Commit documents, named as given or by their number."""
        key = PartitionKey(source, partition)
        named = texts if isinstance(texts, Mapping) else {f"doc-{i}": text for i, text in enumerate(texts)}
        self.tables(key, {"documents": [document_row(key, *one) for one in named.items()]}, files=files)
        return key

    def duplicates(self, key: PartitionKey, removed: Iterable[bytes]) -> None:
        """Commit a decision that these documents go."""
        (row,) = self.rows("duplicates", 1)
        self.tables(key, {"duplicates": [{**row, "removed_id": one} for one in removed]})


@pytest.fixture
def corpus_writer(corpus_root: CorpusRoot) -> CorpusWriter:
    """A writer for the empty corpus of `corpus_root`."""
    return CorpusWriter(corpus_root)
