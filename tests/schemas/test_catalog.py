from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.catalog import iterate_table, manifest_of, manifest_table, read_table, require_manifest, units
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError, InputError
from schemas.manifest import Manifest, OutputFile, TableRecord, write_manifest
from schemas.tables import DUPLICATES

KEY = PartitionKey("web", "p")


def row(number: int) -> dict[str, Any]:
    identity = bytes([number]) * 16
    text = {"removed_source": "web", "removed_partition": "p", "kept_source": "web", "kept_partition": "p"}
    return {**text, "removed_id": identity, "kept_id": identity, "similarity": 1.0, "level": "exact", "config": ""}


@pytest.fixture
def committed(corpus_root: CorpusRoot) -> CorpusRoot:
    """A corpus whose `duplicates` of KEY are two files, with a third that no manifest lists."""
    folder = corpus_root.partition_folder("duplicates", KEY)
    folder.make()
    for number in range(3):
        pq.write_table(pa.Table.from_pylist([row(number)], schema=DUPLICATES), folder.path(f"part-{number}.parquet"))
    files = tuple(OutputFile(name=f"part-{number}.parquet", rows=1, bytes=1) for number in (1, 0))
    manifest = Manifest(
        stage="dedup",
        stage_version=1,
        source="web",
        partition="p",
        fingerprint="f",
        config={},
        inputs=(),
        tables={"duplicates": TableRecord(rows=2, digest="d", files=files)},
    )
    write_manifest(folder, manifest)
    return corpus_root


def test_only_listed_files_exist_and_in_the_order_of_the_list(committed: CorpusRoot) -> None:
    parts = list(iterate_table(committed, "duplicates", KEY))
    assert [part.column("removed_id").to_pylist() for part in parts] == [[bytes([1]) * 16], [bytes([0]) * 16]]
    assert read_table(committed, "duplicates", KEY, ["level"]).to_pylist() == [{"level": "exact"}] * 2


def test_what_is_not_committed_is_an_empty_table(committed: CorpusRoot) -> None:
    other = PartitionKey("web", "q")
    assert read_table(committed, "duplicates", other).schema == DUPLICATES
    assert read_table(committed, "duplicates", other, ["level"]).column_names == ["level"]
    assert read_table(committed, "clusters", KEY).num_rows == 0  # its unit is there, and has no such table


def test_columns_come_in_the_order_asked_for_and_one_that_is_not_there_is_named(committed: CorpusRoot) -> None:
    assert read_table(committed, "duplicates", KEY, ["level", "removed_id"]).column_names == ["level", "removed_id"]
    with pytest.raises(ContractError, match=r"part-1.parquet cannot be read: .*no_such.*; remove its manifest"):
        read_table(committed, "duplicates", KEY, ["level", "no_such"])


def test_tables_of_one_unit_share_a_manifest(committed: CorpusRoot) -> None:
    tables = ["documents", "dropped", "dead", "duplicates", "clusters", "edges", "tokens/bpe/test", "tokens/bpe/train"]
    assert [manifest_table(table) for table in tables] == [
        *("documents", "documents", "documents", "duplicates", "duplicates", "edges"),
        *("tokens/bpe/train", "tokens/bpe/train"),
    ]
    assert units(committed, "clusters") == units(committed, "duplicates") == [KEY]
    assert manifest_of(committed, "clusters", KEY) == require_manifest(committed, "duplicates", KEY)
    assert units(committed, "documents") == []


def test_what_is_missing_or_damaged_is_named(committed: CorpusRoot) -> None:
    with pytest.raises(InputError, match=r"no documents of web/p in .*; run the stage that writes documents first"):
        require_manifest(committed, "documents", KEY)
    path = Path(committed.partition_folder("duplicates", KEY).path("part-1.parquet"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ContractError, match=r"duplicates/web/p/part-1.parquet cannot be read: .*; remove its manifest"):
        read_table(committed, "duplicates", KEY)
    path.unlink()
    with pytest.raises(ContractError, match=r"duplicates/web/p/part-1.parquet cannot be read"):
        read_table(committed, "duplicates", KEY)
