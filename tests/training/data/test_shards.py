from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from schemas.corpus_root import CorpusRoot
from schemas.errors import ShardError
from schemas.mixture import MixturePlan
from training.data.shards import TokenStream, open_streams


def first_shard(corpus_root: CorpusRoot, plan: MixturePlan) -> Path:
    return Path(corpus_root.folder.path(plan.train[0].shards[0].path))


def all_tokens(stream: TokenStream) -> np.ndarray:
    out = np.empty(stream.tokens, dtype=np.int64)
    stream.read(0, out)
    return out


def test_a_stream_joins_shards_and_record_batches(make_corpus, corpus_root: CorpusRoot) -> None:
    plan = make_corpus()
    assert len(plan.train[0].shards) > 1
    stream = open_streams(corpus_root, plan, "train")[0]
    files = [pa.ipc.open_file(corpus_root.folder.path(shard.path)).read_all() for shard in plan.train[0].shards]
    expected = pa.concat_tables([file.select(["token"]).replace_schema_metadata() for file in files])
    assert np.array_equal(all_tokens(stream), expected.column("token").to_numpy())


def test_windows_are_inputs_and_labels_one_further_and_the_tail_is_left(make_corpus, corpus_root: CorpusRoot) -> None:
    plan = make_corpus(sequence_length=32)
    for stream, planned in zip(open_streams(corpus_root, plan, "train"), plan.train, strict=True):
        tokens = all_tokens(stream)
        assert stream.windows == planned.windows(32) == (len(tokens) - 1) // 32
        window = np.empty(33, dtype=np.int64)
        for number in (0, 30, 31, stream.windows - 1):
            stream.read_window(number, window)
            assert np.array_equal(window, tokens[32 * number : 32 * number + 33])


def test_chunks_are_read_across_their_borders() -> None:
    chunks = [np.array([0, 1, 2], dtype=np.uint16), np.array([], dtype=np.uint16), np.array([3, 4], dtype=np.uint16)]
    stream = TokenStream("a", chunks, 2)
    out = np.empty(3, dtype=np.int64)
    for start, expected in ((0, [0, 1, 2]), (1, [1, 2, 3]), (2, [2, 3, 4])):
        stream.read(start, out)
        assert out.tolist() == expected
    assert (stream.tokens, stream.windows) == (5, 2)
    assert TokenStream("empty", [], 2).windows == 0


def test_shards_behind_other_file_systems_are_read_too(make_corpus, corpus_root: CorpusRoot) -> None:
    plan = make_corpus()
    memory = CorpusRoot("memory://corpus-of-shards")
    for shard in plan.train[0].shards:
        folder, _, name = shard.path.rpartition("/")
        memory.folder.child(folder).put_whole(name, corpus_root.folder.read(shard.path))
    one = plan.model_copy(update={"train": plan.train[:1]})
    assert np.array_equal(
        all_tokens(open_streams(memory, one, "train")[0]), all_tokens(open_streams(corpus_root, one, "train")[0])
    )


def test_a_missing_shard_is_named(make_corpus, corpus_root: CorpusRoot) -> None:
    plan = make_corpus()
    first_shard(corpus_root, plan).unlink()
    with pytest.raises(ShardError, match=r"books/one/shard-00000\.arrow is missing, and mixture main pins it"):
        open_streams(corpus_root, plan, "train")


def test_a_truncated_shard_is_named(make_corpus, corpus_root: CorpusRoot) -> None:
    plan = make_corpus()
    path = first_shard(corpus_root, plan)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ShardError, match=r"shard-00000\.arrow is damaged: .* remove it and run tokenize again"):
        open_streams(corpus_root, plan, "train")


def test_a_changed_token_is_found_when_verifying(make_corpus, corpus_root: CorpusRoot) -> None:
    plan = make_corpus()
    path = first_shard(corpus_root, plan)
    content = bytearray(path.read_bytes())
    column = pa.ipc.open_file(path).read_all().column("token").chunk(0)
    place = content.find(column.to_numpy().tobytes())
    content[place + 10] ^= 1
    path.write_bytes(content)
    open_streams(corpus_root, plan, "train", verify=False)
    with pytest.raises(ShardError, match=r"shard-00000\.arrow is damaged: its tokens do not give its checksum"):
        open_streams(corpus_root, plan, "train", verify=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokenizer_fingerprint": "other"}, r"shard-00000\.arrow has tokenizer .*, mixture main pins other"),
        ({"vocabulary_size": 999}, r"has vocabulary size 320, mixture main pins 999"),
        ({"end_of_text": 5}, r"has end-of-text id 0, mixture main pins 5"),
    ],
)
def test_a_shard_of_another_tokenizer_is_refused(
    make_corpus, corpus_root: CorpusRoot, change: dict[str, object], message: str
) -> None:
    plan = make_corpus().model_copy(update=change)
    with pytest.raises(ShardError, match=message):
        open_streams(corpus_root, plan, "train")


def test_a_shard_that_was_made_again_is_refused(make_corpus, corpus_root: CorpusRoot) -> None:
    plan = make_corpus()
    shards = plan.train[0].shards
    pinned = shards[0].model_copy(update={"checksum": "old"})
    stream = plan.train[0].model_copy(update={"shards": (pinned, *shards[1:])})
    with pytest.raises(ShardError, match=r"has checksum .*, mixture main pins old; run `corpusmill run mix`"):
        open_streams(corpus_root, plan.model_copy(update={"train": (stream,)}), "train")
