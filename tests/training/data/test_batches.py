from __future__ import annotations

import numpy as np

from schemas.corpus_root import CorpusRoot
from training.data.batches import BatchReader
from training.data.shards import open_streams


def reader(make_corpus, corpus_root: CorpusRoot, seed: int = 0) -> BatchReader:
    plan = make_corpus(samples={"books": 60, "web": 20})
    return BatchReader(plan, open_streams(corpus_root, plan, "train"), seed)


def test_a_batch_is_windows_as_int64_with_labels_one_further(make_corpus, corpus_root: CorpusRoot) -> None:
    batch = reader(make_corpus, corpus_root).take(8)
    assert batch.inputs.shape == batch.labels.shape == (8, 32)
    assert batch.inputs.dtype == batch.labels.dtype == np.int64
    assert np.array_equal(batch.inputs[:, 1:], batch.labels[:, :-1])


def test_a_restored_reader_goes_on_where_the_other_stood(make_corpus, corpus_root: CorpusRoot) -> None:
    one, other = (reader(make_corpus, corpus_root) for _ in range(2))
    one.take(13)
    state = one.state()
    assert state == {"sample": 13}
    other.restore(state)
    assert np.array_equal(one.take(9).inputs, other.take(9).inputs)


def test_ranks_share_a_batch(make_corpus, corpus_root: CorpusRoot) -> None:
    whole = reader(make_corpus, corpus_root).take(10).inputs
    parts = [reader(make_corpus, corpus_root).take(10, rank, 3).inputs for rank in range(3)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_every_window_comes_once_in_an_epoch(make_corpus, corpus_root: CorpusRoot) -> None:
    one = reader(make_corpus, corpus_root)
    assert len(one) == 80
    samples = one.take(80).samples
    assert len(set(zip(samples.sources.tolist(), samples.windows.tolist(), strict=True))) == 80


def test_samples_are_described_by_name(make_corpus, corpus_root: CorpusRoot) -> None:
    one = reader(make_corpus, corpus_root)
    samples = one.take(80).samples.slice(0, 4)
    text = one.describe(samples)
    assert "books windows" in text
    for window in samples.windows.tolist():
        assert str(window) in text
