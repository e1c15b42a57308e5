"""Reading the texts that signatures are of."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pipelines.dedup.signed_files import document_files, read_texts
from schemas.errors import ContractError


def test_texts_are_read_by_id(corpus: Any) -> None:
    key = corpus.put("p", {"a": "one", "b": "two", "c": "three"})
    (file,) = document_files(corpus.root, key)
    ids = {name: identity for identity, name in corpus.names("p").items()}
    texts = pa.concat_tables(read_texts(file, pa.array([ids["c"], ids["a"]], pa.binary(16))))
    assert set(texts["text"].to_pylist()) == {"one", "three"}


def test_documents_that_are_not_there_are_named(corpus: Any) -> None:
    key = corpus.put("p", {"a": "one"})
    (file,) = document_files(corpus.root, key)
    with pytest.raises(ContractError, match=r"part-00000.parquet holds 0 of 1 documents that signatures name"):
        list(read_texts(file, pa.array([b"x" * 16], pa.binary(16))))
