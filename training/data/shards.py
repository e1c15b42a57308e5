"""Token shards as streams of windows, mapped into memory and checked against the plan that pins them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.corpus_root import CorpusRoot
from schemas.mixture import MixturePlan, SourceStream
from schemas.split import Split
from training.data.block_cache import BlockCache
from training.data.document_starts import read_starts
from training.data.shard_files import RemoteTokens, Tokens, open_shard

__all__ = ["TokenStream", "open_stream", "open_streams"]

Integers = NDArray[np.int64]
# Below so many rows a chunk, rows are copied one by one: gathering the rows of a chunk costs about as much before it
# begins as copying six.
_FEW_ROWS = 6


class TokenStream:
    """The tokens of one source in one split as one sequence, over buffers that stay where they are.

    Args:
        source: its name.
        chunks: the tokens, in order.
        sequence_length: T, inputs of a window.
        document_starts: positions at which documents begin, ascending; None where they were not asked for.
    """

    def __init__(
        self, source: str, chunks: Sequence[Tokens], sequence_length: int, document_starts: Integers | None = None
    ) -> None:
        self.source = source
        self.sequence_length = sequence_length
        self.document_starts = document_starts
        self._chunks = [chunk for chunk in chunks if len(chunk)]
        self._starts = np.cumsum([0, *(len(chunk) for chunk in self._chunks)], dtype=np.int64)
        self._listed = self._starts.tolist()
        self._views = [self._view(number) for number in range(len(self._chunks))]

    def _view(self, number: int) -> tuple[NDArray[Any], int]:
        """The windows that lie whole in a chunk with their label, as rows of T inputs, and the number of the first."""
        chunk, length = self._chunks[number], self.sequence_length
        start = int(self._starts[number])
        first = -(-start // length)
        rows = max(0, (start + len(chunk) - 1) // length - first)
        if isinstance(chunk, RemoteTokens):
            return np.empty((0, length), chunk.dtype), first
        skipped = first * length - start
        return chunk[skipped : skipped + rows * length].reshape(rows, length), first

    @property
    def tokens(self) -> int:
        """Tokens in the stream."""
        return int(self._listed[-1])

    @property
    def windows(self) -> int:
        """Whole windows: T inputs and one label further."""
        return max(0, (self.tokens - 1) // self.sequence_length)

    def read(self, start: int, out: Integers) -> None:
        """Fill `out` with the tokens from position `start` on; the stream must hold as many."""
        done, wanted = 0, len(out)
        chunk = bisect_right(self._listed, start) - 1
        while done < wanted:
            offset = start + done - self._listed[chunk]
            piece = self._chunks[chunk][offset : offset + wanted - done]
            out[done : done + len(piece)] = piece
            done += len(piece)
            chunk += 1

    def read_window(self, window: int, out: Integers) -> None:
        """Fill `out` (T+1) with window number `window`: inputs are its first T tokens, labels its last T."""
        self.read(window * self.sequence_length, out)

    def read_windows(self, windows: Integers, out: Integers, rows: Integers) -> None:
        """Fill row `rows[i]` of `out` (B, T+1) with window number `windows[i]`, for all i; `rows` ascend."""
        chunks = np.searchsorted(self._starts, windows * self.sequence_length, side="right") - 1
        numbers = np.unique(chunks).tolist()
        self._fetch_ahead(numbers, chunks, windows)
        if len(numbers) * _FEW_ROWS > len(windows):
            self._copy_each(chunks, windows, out, rows)
            return
        for number in numbers:
            mine = np.flatnonzero(chunks == number)
            self._copy_chunk(number, windows[mine], out, rows[mine])

    def _fetch_ahead(self, numbers: list[int], chunks: Integers, windows: Integers) -> None:
        """Ask for all bytes of remote chunks at once."""
        ranges, length = [], self.sequence_length
        for number in numbers:
            chunk = self._chunks[number]
            if isinstance(chunk, RemoteTokens):
                starts = windows[chunks == number] * length - self._listed[number]
                ranges += [chunk.byte_range(start, start + length + 1) for start in starts.tolist()]
                cache = chunk.cache
        if ranges:
            cache.prepare(ranges)

    def _copy_each(self, chunks: Integers, windows: Integers, out: Integers, rows: Integers) -> None:
        """Row by row, each from one chunk where it lies whole in one."""
        inputs = self.sequence_length
        for number, window, row in zip(chunks.tolist(), windows.tolist(), rows.tolist(), strict=True):
            start = window * inputs - self._listed[number]
            piece = self._chunks[number][start : start + inputs + 1]
            if len(piece) > inputs:
                out[row] = piece
            else:
                self.read_window(window, out[row])

    def _copy_chunk(self, number: int, windows: Integers, out: Integers, rows: Integers) -> None:
        view, first = self._views[number]
        inside = windows - first < len(view)
        if inside.any() and not isinstance(self._chunks[number], RemoteTokens):
            places = windows[inside] - first
            after = (places + first + 1) * self.sequence_length - self._listed[number]
            inputs, last = view.take(places, axis=0, mode="clip"), self._chunks[number][after]
            # All rows together are written as a whole, without an index.
            chosen = slice(None) if len(places) == len(out) else rows[inside]
            out[chosen, :-1] = inputs
            out[chosen, -1] = last
            windows, rows = windows[~inside], rows[~inside]
        for window, row in zip(windows.tolist(), rows.tolist(), strict=True):
            self.read_window(window, out[row])


def open_stream(
    root: CorpusRoot,
    stream: SourceStream,
    plan: MixturePlan,
    verify: bool,
    cache: BlockCache | None = None,
    boundaries: bool = False,
) -> TokenStream:
    """Open the shards of one source.

    Args:
        root: the corpus.
        stream: one of the plan's streams.
        plan: what pins the shards.
        verify: also read all tokens and compare their checksum.
        cache: for shards on other file systems; one for the stream alone where none is given.
        boundaries: also read where documents begin: 8 bytes of memory a document.

    Raises:
        ShardError: a shard or index is missing, damaged or another one than the plan pins; the message names the file.
    """
    cache = cache or BlockCache()
    chunks = [chunk for shard in stream.shards for chunk in open_shard(root, shard, plan, verify, cache)]
    starts = read_starts(root, stream, plan) if boundaries else None
    return TokenStream(stream.source, chunks, plan.sequence_length, starts)


def open_streams(
    root: CorpusRoot,
    plan: MixturePlan,
    split: Split,
    verify: bool = True,
    cache: BlockCache | None = None,
    boundaries: bool = False,
) -> list[TokenStream]:
    """The streams of one split, in plan order.

    Raises:
        ShardError: as `open_stream`.
    """
    streams: tuple[SourceStream, ...] = getattr(plan, split)
    cache = cache or BlockCache()
    return [open_stream(root, stream, plan, verify, cache, boundaries) for stream in streams]
