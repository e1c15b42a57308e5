from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.corpus_digest import corpus_digest, tokenizer_names
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.tokens import tokenize_stage, tokenizer_stage
from schemas.catalog import manifest_table
from schemas.configs.tokenize import TokenizeConfig
from schemas.configs.tokenizer import TokenizerConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError, ShardError
from schemas.tables import DIGEST_EXCLUDED_COLUMNS, TABLES

KEY = PartitionKey("web", "p")
TEXTS = [f"The page number {n} of the book speaks of {n * 7919} things." for n in range(30)]


def write(writer: Any, table: str, rows: list[dict[str, Any]], files: int = 1, key: PartitionKey = KEY) -> str:
    """Commit a table, with the one before it that holds its manifest, and take the digest."""
    writer.tables(key, {**{manifest_table(table): []}, table: rows}, files=files)
    return corpus_digest(writer.root).total


def test_an_empty_corpus_has_the_digest_of_nothing(corpus_root: CorpusRoot) -> None:
    found = corpus_digest(corpus_root)
    assert (found.total, found.by_table) == (hashlib.blake2b(digest_size=32).hexdigest(), {})


@pytest.mark.parametrize("table", sorted(TABLES))
def test_losing_repeating_or_changing_any_row_changes_it(corpus_writer: Any, table: str) -> None:
    rows = corpus_writer.rows(table, 6)
    whole = write(corpus_writer, table, rows)
    assert list(corpus_digest(corpus_writer.root).by_table) == [table]
    found = {whole}
    for number in range(len(rows)):
        found.add(write(corpus_writer, table, rows[:number] + rows[number + 1 :]))
    found.add(write(corpus_writer, table, [*rows, rows[0]]))
    others = corpus_writer.rows(table, 7)
    columns = [name for name in TABLES[table].names if name not in DIGEST_EXCLUDED_COLUMNS]
    for column in columns:
        value = next(other[column] for other in others if other[column] != rows[2][column])
        found.add(write(corpus_writer, table, [*rows[:2], {**rows[2], column: value}, *rows[3:]]))
    assert len(found) == 1 + len(rows) + 1 + len(columns)
    assert write(corpus_writer, table, rows) == whole


@pytest.mark.parametrize("table", sorted(TABLES))
def test_order_files_and_addresses_of_rows_do_not_enter(corpus_writer: Any, table: str) -> None:
    rows = corpus_writer.rows(table, 6)
    whole = write(corpus_writer, table, rows)
    moved = [{**row, **{name: None for name in DIGEST_EXCLUDED_COLUMNS - {"message"} if name in row}} for row in rows]
    assert write(corpus_writer, table, moved[::-1]) == whole
    if pa.types.is_fixed_size_binary(TABLES[table].field(0).type):
        assert write(corpus_writer, table, rows, files=4) == whole


def test_table_source_and_partition_enter(corpus_writer: Any, tmp_path: Path) -> None:
    rows = corpus_writer.rows("documents", 3)
    found = set()
    for number, key in enumerate(
        [KEY, PartitionKey("web", "q"), PartitionKey("books", "p"), PartitionKey("we", "b/p")]
    ):
        writer = type(corpus_writer)(CorpusRoot(str(tmp_path / str(number))))
        found.add(write(writer, "documents", rows, key=key))
    assert len(found) == 4


def test_a_stage_that_decided_nothing_is_as_one_that_did_not_run(corpus_writer: Any) -> None:
    before = write(corpus_writer, "documents", corpus_writer.rows("documents", 3))
    corpus_writer.tables(KEY, {"duplicates": [], "clusters": []})
    assert corpus_digest(corpus_writer.root).total == before
    corpus_writer.tables(KEY, {"duplicates": corpus_writer.rows("duplicates", 1)})
    assert corpus_digest(corpus_writer.root).total != before


def test_files_that_no_manifest_lists_do_not_enter_and_lost_ones_are_named(corpus_writer: Any) -> None:
    before = write(corpus_writer, "documents", corpus_writer.rows("documents", 3))
    folder = Path(corpus_writer.root.partition_folder("documents", KEY).path())
    (folder / "part-00009.parquet").write_bytes((folder / "part-00000.parquet").read_bytes())
    assert corpus_digest(corpus_writer.root).total == before
    (folder / "part-00000.parquet").write_bytes(b"PAR1 no more PAR1")
    with pytest.raises(ContractError, match=r"documents/web/p/part-00000.parquet cannot be read: .*; remove its manif"):
        corpus_digest(corpus_writer.root)
    (folder / "part-00000.parquet").unlink()
    with pytest.raises(ContractError, match=r"documents/web/p/part-00000.parquet cannot be read"):
        corpus_digest(corpus_writer.root)


def tokenized(root: CorpusRoot, **settings: Any) -> None:
    tokenizer = TokenizerConfig(vocabulary_size=300)
    tokenizer_stage.run(StageRequest(root=root, config=tokenizer, engine=Engine()))
    tokenize_stage.run(
        StageRequest(root=root, config=TokenizeConfig(test=0, validation=0, **settings), engine=Engine())
    )


def rewrite(path: Path, change: Any) -> None:
    """Write a shard or an index anew, with another content under the same header."""
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        pq.write_table(change(pq.read_table(path)), path)
        return
    reader = pa.ipc.open_file(pa.py_buffer(path.read_bytes()))
    table = change(reader.read_all())
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


def test_any_token_and_any_index_row_enters_and_the_cut_does_not(corpus_writer: Any) -> None:
    corpus_writer.documents("p", TEXTS)
    tokenized(corpus_writer.root)
    assert tokenizer_names(corpus_writer.root) == ["bpe"]
    whole = corpus_digest(corpus_writer.root)
    assert list(whole.by_table) == ["documents", "tokens/bpe/train", "tokens/bpe/train/index"]
    tokenized(corpus_writer.root, shard_tokens=100)
    assert corpus_digest(corpus_writer.root) == whole
    folder = Path(corpus_writer.root.partition_folder("tokens/bpe/train", KEY).path())
    shard, index = folder / "shard-00002.arrow", folder / "index.parquet"

    def another_token(table: pa.Table) -> pa.Table:
        tokens = table.column("token").to_pylist()
        return pa.table({"token": pa.array([*tokens[:-1], tokens[-1] ^ 1], pa.uint16())}, schema=table.schema)

    changes = [
        (shard, another_token, "tokens/bpe/train"),
        (shard, lambda table: table.slice(1), "tokens/bpe/train"),
        (index, lambda table: table.slice(1), "tokens/bpe/train/index"),
        (index, lambda table: table.take([1, 0, *range(2, table.num_rows)]), "tokens/bpe/train/index"),
    ]
    for path, change, table in changes:
        before = path.read_bytes()
        rewrite(path, change)
        found = corpus_digest(corpus_writer.root)
        assert {name for name in found.by_table if found.by_table[name] != whole.by_table[name]} == {table}
        assert found.total != whole.total
        path.write_bytes(before)
    first = folder / "shard-00000.arrow"
    first_bytes, second_bytes = first.read_bytes(), shard.read_bytes()
    first.write_bytes(second_bytes)
    shard.write_bytes(first_bytes)
    assert corpus_digest(corpus_writer.root).total != whole.total
    shard.unlink()
    with pytest.raises(ShardError, match=r"shard-00002.arrow cannot be read: .*; remove its manifest, then run token"):
        corpus_digest(corpus_writer.root)


def test_one_word_on_one_page_changes_it(corpus_writer: Any, tmp_path: Path) -> None:
    other = type(corpus_writer)(CorpusRoot(str(tmp_path / "other")))
    corpus_writer.documents("p", TEXTS)
    other.documents("p", [*TEXTS[:-1], TEXTS[-1].replace("things", "thing")])
    assert corpus_digest(corpus_writer.root).total != corpus_digest(other.root).total


def test_the_digest_is_what_its_description_says(corpus_writer: Any) -> None:
    """By other means: one document, hashed by hand."""

    def prefixed(*parts: bytes) -> bytes:
        return b"".join(len(part).to_bytes(8, "big") + part for part in parts)

    row = {**corpus_writer.rows("dead", 1)[0], "url": None}
    found = write(corpus_writer, "dead", [row])
    named = [
        ("error", row["error"]),
        ("partition", row["partition"]),
        ("source", row["source"]),
        ("stage", row["stage"]),
    ]
    cells = [prefixed(name.encode()) + prefixed(b"s" + value.encode()) for name, value in named]
    cells.append(prefixed(b"url") + prefixed(b"n"))
    row_hash = hashlib.blake2b(b"".join(cells), digest_size=32).digest()
    table = hashlib.blake2b(row_hash, digest_size=32).digest()
    wanted = hashlib.blake2b(prefixed(b"dead", b"web", b"p", table), digest_size=32).hexdigest()
    assert found == wanted
    assert json.dumps(corpus_digest(corpus_writer.root).by_table) == json.dumps({"dead": wanted})
