"""Token shards and mixture plans written as the pipelines write them, for corpora that tests train on."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.mixture import MixturePlan, Phase, ShardRef, SourceShare, SourceStream
from schemas.token_shard import ShardHeader, shard_name, shard_schema, token_table, tokenizer_fingerprint

__all__ = ["END_OF_TEXT", "PANICKING_TOKENIZER", "TOKENIZER", "one_batch_a_shard", "plan_of", "write_stream"]

TOKENIZER = "tiny"
# The library does not refuse this one, it panics, which in Python is no Exception.
PANICKING_TOKENIZER = """{"version": "1.0", "added_tokens": [], "normalizer": {"type": "Precompiled",
"precompiled_charsmap": "EAAAAGFiY2Q="}, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}"""
END_OF_TEXT = 0


def write_stream(
    root: CorpusRoot, source: str, split: str, tokens: np.ndarray, tokenizer: Tokenizer, shard_tokens: int
) -> SourceStream:
    """Write one stream as shards of `shard_tokens` tokens."""
    vocabulary, refs = tokenizer.get_vocab_size(), []
    table = token_table(TOKENIZER, split)
    folder = root.partition_folder(table, PartitionKey(source, "one"))
    for number, first in enumerate(range(0, len(tokens), shard_tokens)):
        piece = tokens[first : first + shard_tokens].astype("<u2")
        header = ShardHeader(
            tokenizer=TOKENIZER,
            tokenizer_fingerprint=tokenizer_fingerprint(tokenizer.to_str().encode()),
            vocabulary_size=vocabulary,
            end_of_text=END_OF_TEXT,
            source=source,
            partition="one",
            split=split,
            number=number,
            first_token=first,
            tokens=len(piece),
            checksum=hashlib.blake2b(piece.tobytes(), digest_size=32).hexdigest(),
        )
        schema = shard_schema(header)
        with folder.open_write(shard_name(number)) as stream, pa.ipc.new_file(stream, schema) as writer:
            for start in range(0, len(piece), 1000):  # several record batches, as large shards may have
                writer.write_batch(pa.record_batch([pa.array(piece[start : start + 1000])], schema=schema))
        path = f"{table}/{source}/one/{shard_name(number)}"
        refs.append(ShardRef(path=path, tokens=header.tokens, checksum=header.checksum))
    return SourceStream(source=source, tokens=len(tokens), utf8_bytes=4 * len(tokens), documents=1, shards=tuple(refs))


def plan_of(
    train: tuple[SourceStream, ...],
    samples: dict[str, int],
    *,
    sequence_length: int,
    vocabulary_size: int,
    fingerprint: str = "",
    validation: tuple[SourceStream, ...] = (),
    test: tuple[SourceStream, ...] = (),
    phases: int = 1,
) -> MixturePlan:
    """A plan that takes `samples` of each source in every phase."""
    total = sum(samples.values())
    windows = {stream.source: stream.windows(sequence_length) for stream in train}
    shares = tuple(
        SourceShare(source=name, weight=count / total, samples=count, windows=windows[name])
        for name, count in samples.items()
    )
    return MixturePlan(
        name="main",
        tokenizer=TOKENIZER,
        tokenizer_fingerprint=fingerprint,
        vocabulary_size=vocabulary_size,
        end_of_text=END_OF_TEXT,
        sequence_length=sequence_length,
        seed=7,
        train=train,
        validation=validation,
        test=test,
        phases=(Phase(samples=total, planned=total, shares=shares),) * phases,
    )


def one_batch_a_shard(corpus_root: CorpusRoot, plan: MixturePlan) -> None:
    """Write the shards again as the pipelines do: one record batch each."""
    for stream in plan.train:
        for shard in stream.shards:
            folder, _, file = shard.path.rpartition("/")
            table = pa.ipc.open_file(corpus_root.folder.path(shard.path)).read_all().combine_chunks()
            with corpus_root.folder.child(folder).open_write(file) as sink, pa.ipc.new_file(sink, table.schema) as out:
                out.write_table(table)
