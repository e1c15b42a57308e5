from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from token_corpus import one_batch_a_shard

from schemas.corpus_root import CorpusRoot
from schemas.errors import ShardError
from schemas.mixture import MixturePlan
from training.data.batches import BatchReader
from training.data.block_cache import BlockCache
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


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_world_size_micro_batch_and_threads_give_the_same_global_order(
    make_corpus, corpus_root: CorpusRoot, workers: int, world_size: int
) -> None:
    plan = make_corpus(samples={"books": 60, "web": 20})
    streams = open_streams(corpus_root, plan, "train")
    whole = BatchReader(plan, streams, 0).take(80)
    for batch in (16, 5):
        readers = [BatchReader(plan, streams, 0, workers=workers) for _ in range(world_size)]
        inputs, labels, sources = [], [], []
        for _ in range(80 // batch):
            for rank, one in enumerate(readers):
                part = one.take(batch, rank, world_size)
                inputs.append(part.inputs.copy())
                labels.append(part.labels.copy())
                sources.append(part.samples.sources)
        for one in readers:
            one.close()
        assert np.array_equal(np.concatenate(inputs), whole.inputs)
        assert np.array_equal(np.concatenate(labels), whole.labels)
        assert np.array_equal(np.concatenate(sources), whole.samples.sources)


def test_reading_ahead_follows_other_sizes_and_restored_positions(make_corpus, corpus_root: CorpusRoot) -> None:
    plan = make_corpus(samples={"books": 60, "web": 20})
    streams = open_streams(corpus_root, plan, "train")
    plain, ahead = BatchReader(plan, streams, 0), BatchReader(plan, streams, 0, workers=2, ahead=3)
    for position, count in ((None, 4), (None, 4), (None, 7), (2, 4), (None, 4), (60, 20), (0, 1), (None, 1)):
        if position is not None:
            plain.restore({"sample": position})
            ahead.restore({"sample": position})
        assert np.array_equal(plain.take(count).inputs, ahead.take(count).inputs)
        assert plain.state() == ahead.state()
    ahead.close()


def test_an_error_while_reading_ahead_reaches_the_one_who_asks(
    make_corpus, corpus_root: CorpusRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_corpus(samples={"books": 60, "web": 20})
    one = BatchReader(plan, open_streams(corpus_root, plan, "train"), 0, workers=1)

    def fail(samples: object) -> None:
        raise ShardError("the disk is gone")

    one.take(4)
    monkeypatch.setattr(one, "read", fail)
    one.restore({"sample": 40})
    with pytest.raises(ShardError, match="the disk is gone"):
        one.take(4)
    one.close()


def test_a_far_position_is_restored_at_once(make_corpus, corpus_root: CorpusRoot) -> None:
    plan = make_corpus(samples={"books": 300_000_000, "web": 100_000_000})
    one = BatchReader(plan, open_streams(corpus_root, plan, "train"), 0)
    began = time.process_time()
    one.restore({"sample": 256 * 1_000_000})
    batch = one.take(256)
    assert time.process_time() - began < 1
    assert batch.inputs.shape == (256, 32)


def test_boundaries_are_where_documents_and_windows_begin(make_corpus, with_indexes, corpus_root: CorpusRoot) -> None:
    plan = with_indexes(corpus_root, make_corpus(samples={"books": 60, "web": 20}))
    one = BatchReader(plan, open_streams(corpus_root, plan, "train", boundaries=True), 0)
    for _ in range(8):
        batch = one.take(10)
        flat = batch.inputs.reshape(-1)
        expected = {0, len(flat), *range(0, len(flat), 32)}
        expected |= {int(place) + 1 for place in np.flatnonzero(flat == plan.end_of_text)}
        assert batch.boundaries is not None
        assert batch.boundaries.tolist() == sorted(expected)
    tensors = batch.tensors()
    assert (tensors.inputs.dtype, tensors.sources.dtype) == (torch.int64, torch.int64)
    assert torch.equal(tensors.labels, torch.from_numpy(batch.labels))
    assert tensors.boundaries is not None
    assert one.take(0).inputs.shape == (0, 32)


def test_batches_without_boundaries_say_so(make_corpus, corpus_root: CorpusRoot) -> None:
    batch = reader(make_corpus, corpus_root).take(4)
    assert batch.boundaries is None
    assert batch.tensors().boundaries is None


def test_an_index_that_is_not_the_pinned_one_is_refused(make_corpus, with_indexes, corpus_root: CorpusRoot) -> None:
    plan = with_indexes(corpus_root, make_corpus())
    stream = plan.train[0]
    other = stream.model_copy(update={"indexes": ()})
    with pytest.raises(ShardError, match=r"the indexes of books in mixture main cover 0 tokens of \d+"):
        open_streams(corpus_root, plan.model_copy(update={"train": (other,)}), "train", boundaries=True)
    swapped = plan.train[1].indexes[0].model_copy(update={"path": stream.indexes[0].path})
    wrong = stream.model_copy(update={"indexes": (swapped,)})
    with pytest.raises(ShardError, match=r"books/one/index.parquet is damaged or another index than the one pinned"):
        open_streams(corpus_root, plan.model_copy(update={"train": (wrong,)}), "train", boundaries=True)
    path = corpus_root.folder.child("tokens", "tiny", "train", "books", "one")
    path.remove("index.parquet")
    with pytest.raises(ShardError, match=r"index.parquet is missing, and mixture main pins it"):
        open_streams(corpus_root, plan, "train", boundaries=True)


def remote_copy(corpus_root: CorpusRoot, plan: MixturePlan, name: str) -> CorpusRoot:
    memory = CorpusRoot(f"memory://{name}")
    for stream in plan.train:
        for shard in stream.shards:
            folder, _, file = shard.path.rpartition("/")
            memory.folder.child(folder).put_whole(file, corpus_root.folder.read(shard.path))
    return memory


def test_remote_shards_are_read_through_a_bounded_cache(make_corpus, corpus_root: CorpusRoot, tmp_path) -> None:
    plan = make_corpus(samples={"books": 60, "web": 20})
    one_batch_a_shard(corpus_root, plan)
    memory = remote_copy(corpus_root, plan, "bounded")
    whole = BatchReader(plan, open_streams(corpus_root, plan, "train"), 0).take(80)
    cache = BlockCache(str(tmp_path / "blocks"), limit_bytes=2**12, block_bytes=2**9)
    streams = open_streams(memory, plan, "train", verify=False, cache=cache)
    assert cache.fetched_bytes == 0  # headers are not kept; tokens are fetched when asked for
    for workers in (0, 2):
        one = BatchReader(plan, streams, 0, workers=workers)
        parts = [one.take(5).inputs.copy() for _ in range(16)]
        one.close()
        assert np.array_equal(np.concatenate(parts), whole.inputs)
        assert cache.stored_bytes <= 2**12
        files = [path for path in (tmp_path / "blocks").rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) <= 2**12
    # A later run finds the blocks of this one, as far as they were kept.
    large = BlockCache(str(tmp_path / "large"), block_bytes=2**9)
    for expected in (True, False):
        again = BlockCache(str(tmp_path / "large"), block_bytes=2**9)
        one = BatchReader(plan, open_streams(memory, plan, "train", verify=False, cache=again), 0)
        assert np.array_equal(one.take(80).inputs, whole.inputs)
        assert (again.fetched_bytes > 0) is expected
    assert large.stored_bytes == 0
    # Comparing checksums fetches each token once, and what there is room for is not fetched again.
    full = BlockCache(str(tmp_path / "full"), block_bytes=2**9)
    for cache in (full, BlockCache(str(tmp_path / "small"), limit_bytes=2**11, block_bytes=2**9)):
        streams = open_streams(memory, plan, "train", verify=True, cache=cache)
        blocks = sum(-(-2 * shard.tokens // 2**9) + 1 for stream in plan.train for shard in stream.shards)
        assert 0 < cache.fetched_bytes <= blocks * 2**9
        assert cache.stored_bytes <= 2**11 or cache is full
    fetched = full.fetched_bytes
    streams = open_streams(memory, plan, "train", verify=True, cache=full)
    assert np.array_equal(BatchReader(plan, streams, 0).take(80).inputs, whole.inputs)
    assert full.fetched_bytes == fetched


def test_a_remote_shard_that_went_or_changed_is_named(make_corpus, corpus_root: CorpusRoot) -> None:
    plan = make_corpus(samples={"books": 60, "web": 20})
    one_batch_a_shard(corpus_root, plan)
    memory = remote_copy(corpus_root, plan, "gone")
    streams = open_streams(memory, plan, "train", verify=False)
    folder, _, file = plan.train[0].shards[0].path.rpartition("/")
    content = memory.folder.child(folder).read(file)
    memory.folder.child(folder).put_whole(file, content[:100])
    with pytest.raises(ShardError, match=r"shard-00000.arrow cannot be read from byte 0 on: .*; see that it is there"):
        BatchReader(plan, streams, 0).take(80)
    with pytest.raises(ShardError, match=r"shard-00000.arrow is damaged: .*; remove it and run tokenize again"):
        open_streams(memory, plan, "train", verify=False)
    memory.folder.child(folder).put_whole(file, b"x" * len(content))
    with pytest.raises(ShardError, match=r"is damaged: it does not begin as an Arrow file does"):
        open_streams(memory, plan, "train", verify=False)
    memory.folder.child(folder).remove(file)
    with pytest.raises(ShardError, match=r"shard-00000.arrow is missing, and mixture main pins it"):
        open_streams(memory, plan, "train", verify=False)
