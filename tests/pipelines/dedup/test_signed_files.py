"""Reading the texts that signatures are of."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.dedup import signed_files
from pipelines.dedup.signed_files import document_files, read_texts
from schemas.errors import ContractError
from schemas.storage import Folder


def test_texts_are_read_by_id(corpus: Any) -> None:
    key = corpus.put("p", {"a": "one", "b": "two", "c": "three"})
    (file,) = document_files(corpus.root, key)
    ids = {name: identity for identity, name in corpus.names("p").items()}
    texts = pa.concat_tables(read_texts(file, pa.array([ids["c"], ids["a"]], pa.binary(16))))
    assert set(texts["text"].to_pylist()) == {"one", "three"}


def test_few_texts_of_many_are_read_from_their_pages(corpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {str(number): f"{number} " * (number % 97 + 60) for number in range(5000)}
    (file,) = document_files(corpus.root, corpus.put("p", texts))
    names = corpus.names("p")
    asked: list[int] = []
    read = signed_files.values_in_pages
    monkeypatch.setattr(signed_files, "values_in_pages", lambda *given: asked.append(len(given[-1])) or read(*given))
    schemas = []
    for few in (7, 4000):
        ids = pa.array(sorted(names)[:: len(names) // few], pa.binary(16))
        tables = list(read_texts(file, ids))
        schemas += [table.schema for table in tables]
        found = pa.concat_tables(tables).to_pydict()
        assert dict(zip(found["document_id"], found["text"], strict=True)) == {
            one: texts[names[one]] for one in ids.to_pylist()
        }
    assert all(schema.equals(schemas[0]) for schema in schemas)  # tables of both kinds are joined
    assert sum(asked) == 8  # of the few ones alone; where most are wanted all are decoded
    # Files of an earlier version have dictionaries of texts.
    path = Folder(file.folder_url).path(file.name)
    pq.write_table(pq.read_table(path), path, compression="zstd")
    some = sorted(names)[:3]
    found = pa.concat_tables(read_texts(file, pa.array(some, pa.binary(16))))
    assert found["text"].to_pylist() == [texts[names[one]] for one in some]


def test_documents_that_are_not_there_are_named(corpus: Any) -> None:
    key = corpus.put("p", {"a": "one"})
    (file,) = document_files(corpus.root, key)
    with pytest.raises(ContractError, match=r"part-00000.parquet holds 0 of 1 documents that signatures name"):
        list(read_texts(file, pa.array([b"x" * 16], pa.binary(16))))
