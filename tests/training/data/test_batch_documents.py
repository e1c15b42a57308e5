from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from schemas.corpus_root import CorpusRoot
from schemas.errors import ShardError
from training.data.batch_documents import batch_documents
from training.data.batches import BatchReader
from training.data.document_starts import read_starts
from training.data.order import Samples
from training.data.shards import open_streams


def test_documents_of_a_batch_are_those_of_each_of_its_tokens(make_corpus, with_indexes, corpus_root: CorpusRoot):
    plan = with_indexes(corpus_root, make_corpus(samples={"books": 60, "web": 20}))
    reader = BatchReader(plan, open_streams(corpus_root, plan, "train"), 0)
    for start in (0, 31, 72):
        samples = reader.locate(start, start + 8)
        expected: Counter[tuple[str, str]] = Counter()
        for source, window in zip(samples.sources.tolist(), samples.windows.tolist(), strict=True):
            stream = plan.train[source]
            starts = read_starts(corpus_root, stream, plan)
            for token in range(window * 32, (window + 1) * 32 + 1):
                document = int(np.searchsorted(starts, token, side="right")) - 1
                expected[stream.source, document.to_bytes(16).hex()] += 1
        found = batch_documents(corpus_root, plan, samples)
        assert {(one.source, one.document_id): one.tokens for one in found} == expected
        assert [one.tokens for one in found] == sorted((one.tokens for one in found), reverse=True)
        assert {(one.partition, one.url) for one in found} == {("one", None)}


def test_a_batch_of_nothing_has_no_documents(make_corpus, with_indexes, corpus_root: CorpusRoot):
    plan, none = with_indexes(corpus_root, make_corpus()), np.empty(0, dtype=np.int64)
    assert batch_documents(corpus_root, plan, Samples(none, none)) == []


def test_an_index_that_is_not_there_or_another_one_is_named(make_corpus, with_indexes, corpus_root: CorpusRoot):
    bare = make_corpus()
    samples = Samples(np.array([0]), np.array([3]))
    with pytest.raises(ShardError, match="mixture main pins no index of books; run `corpusmill run mix` again"):
        batch_documents(corpus_root, bare, samples)
    plan = with_indexes(corpus_root, bare)
    books = plan.train[0]
    other = books.model_copy(update={"indexes": (books.indexes[0].model_copy(update={"documents": 3}),)})
    with pytest.raises(ShardError, match=r"index.parquet has documents \d+, mixture main pins 3; run `corpusmill run"):
        batch_documents(corpus_root, plan.model_copy(update={"train": (other, plan.train[1])}), samples)
    corpus_root.folder.remove(books.indexes[0].path)
    with pytest.raises(ShardError, match=r"books/one/index.parquet is missing, and mixture main pins it; run tokenize"):
        batch_documents(corpus_root, plan, samples)


def test_a_damaged_index_is_named(make_corpus, with_indexes, corpus_root: CorpusRoot):
    plan = with_indexes(corpus_root, make_corpus())
    place, _, name = plan.train[0].indexes[0].path.rpartition("/")
    corpus_root.folder.child(place).put_whole(name, b"PAR1 and no more")
    with pytest.raises(ShardError, match=r"index.parquet cannot be read: .*; run `corpusmill run mix` under"):
        batch_documents(corpus_root, plan, Samples(np.array([0]), np.array([3])))
