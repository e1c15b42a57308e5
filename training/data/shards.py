"""Token shards, mapped into memory and checked against the plan that pins them."""

from __future__ import annotations

import hashlib
from bisect import bisect_right

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.corpus_root import CorpusRoot
from schemas.errors import ShardError
from schemas.mixture import MixturePlan, ShardRef, SourceStream
from schemas.split import Split
from schemas.token_shard import ShardHeader, header_of

__all__ = ["TokenStream", "open_stream", "open_streams"]

Tokens = NDArray[np.uint16] | NDArray[np.uint32]


class TokenStream:
    """The tokens of one source in one split as one sequence, over buffers that stay where they are."""

    def __init__(self, source: str, chunks: list[Tokens], sequence_length: int) -> None:
        self.source = source
        self.sequence_length = sequence_length
        self._chunks = [chunk for chunk in chunks if len(chunk)]
        self._starts = np.cumsum([0, *(len(chunk) for chunk in self._chunks)]).tolist()

    @property
    def tokens(self) -> int:
        """Tokens in the stream."""
        return int(self._starts[-1])

    @property
    def windows(self) -> int:
        """Whole windows: T inputs and one label further."""
        return max(0, (self.tokens - 1) // self.sequence_length)

    def read(self, start: int, out: NDArray[np.int64]) -> None:
        """Fill `out` with the tokens from position `start` on; the stream must hold as many."""
        done, wanted = 0, len(out)
        chunk = bisect_right(self._starts, start) - 1
        while done < wanted:
            offset = start + done - self._starts[chunk]
            piece = self._chunks[chunk][offset : offset + wanted - done]
            out[done : done + len(piece)] = piece
            done += len(piece)
            chunk += 1

    def read_window(self, window: int, out: NDArray[np.int64]) -> None:
        """Fill `out` (T+1) with window number `window`: inputs are its first T tokens, labels its last T."""
        self.read(window * self.sequence_length, out)


def _check_header(header: ShardHeader, shard: ShardRef, plan: MixturePlan, where: str) -> None:
    facts = [
        ("tokens", header.tokens, shard.tokens),
        ("checksum", header.checksum, shard.checksum),
        ("tokenizer", header.tokenizer_fingerprint, plan.tokenizer_fingerprint),
        ("vocabulary size", header.vocabulary_size, plan.vocabulary_size),
        ("end-of-text id", header.end_of_text, plan.end_of_text),
    ]
    for what, found, wanted in facts:
        if found != wanted:
            raise ShardError(
                f"{where} has {what} {found}, mixture {plan.name} pins {wanted}; "
                "run `corpusmill run mix` under a new name for the shards that are there now"
            )


def _open_shard(root: CorpusRoot, shard: ShardRef, plan: MixturePlan, verify: bool) -> list[Tokens]:
    folder, where = root.folder, f"{root.url}/{shard.path}"
    try:
        buffer = pa.memory_map(folder.path(shard.path)) if folder.is_local else pa.py_buffer(folder.read(shard.path))
        reader = pa.ipc.open_file(buffer)
        header = header_of(reader.schema, where)
        batches = [reader.get_batch(i).column("token").to_numpy() for i in range(reader.num_record_batches)]
    except FileNotFoundError as error:
        raise ShardError(f"{where} is missing, and mixture {plan.name} pins it; run tokenize again") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise ShardError(f"{where} is damaged: {error}; remove it and run tokenize again") from error
    _check_header(header, shard, plan, where)
    if sum(map(len, batches)) != header.tokens:
        raise ShardError(f"{where} holds {sum(map(len, batches))} tokens, its header says {header.tokens}")
    if verify:
        digest = hashlib.blake2b(digest_size=32)
        for batch in batches:
            digest.update(np.ascontiguousarray(batch.astype(batch.dtype.newbyteorder("<"), copy=False)).data)
        if digest.hexdigest() != header.checksum:
            raise ShardError(
                f"{where} is damaged: its tokens do not give its checksum; remove it and run tokenize again"
            )
    return batches


def open_stream(root: CorpusRoot, stream: SourceStream, plan: MixturePlan, verify: bool) -> TokenStream:
    """Open the shards of one source.

    Args:
        root: the corpus.
        stream: one of the plan's streams.
        plan: what pins the shards.
        verify: also read all tokens and compare their checksum.

    Raises:
        ShardError: a shard is missing, damaged or another one than the plan pins; the message names the file.
    """
    chunks = [chunk for shard in stream.shards for chunk in _open_shard(root, shard, plan, verify)]
    return TokenStream(stream.source, chunks, plan.sequence_length)


def open_streams(root: CorpusRoot, plan: MixturePlan, split: Split, verify: bool = True) -> list[TokenStream]:
    """The streams of one split, in plan order.

    Raises:
        ShardError: as `open_stream`.
    """
    streams: tuple[SourceStream, ...] = getattr(plan, split)
    return [open_stream(root, stream, plan, verify) for stream in streams]
