"""Cutting a stream of tokens into shards: pure arithmetic over the lengths of the pieces that it is joined from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["ShardCut", "Slice", "cut_stream"]


class Slice(NamedTuple):
    """`tokens` tokens of piece number `piece`, from its token number `start` on."""

    piece: int
    start: int
    tokens: int


class ShardCut(NamedTuple):
    """One shard: its number, the position of its first token in the stream, and the slices that it is joined from."""

    number: int
    first_token: int
    slices: tuple[Slice, ...]

    @property
    def tokens(self) -> int:
        """Tokens of the shard."""
        return sum(one.tokens for one in self.slices)


def cut_stream(lengths: Sequence[int], shard_tokens: int) -> list[ShardCut]:
    """Cut the stream that pieces of these lengths, in tokens, give when joined, every `shard_tokens` tokens.

    All shards but the last hold exactly `shard_tokens` tokens; an empty stream has none.
    """
    shards: list[ShardCut] = []
    slices: list[Slice] = []
    room = shard_tokens
    for piece, length in enumerate(lengths):
        start = 0
        while start < length:
            taken = min(room, length - start)
            slices.append(Slice(piece, start, taken))
            start, room = start + taken, room - taken
            if room == 0:
                shards.append(ShardCut(len(shards), len(shards) * shard_tokens, tuple(slices)))
                slices, room = [], shard_tokens
    if slices:
        shards.append(ShardCut(len(shards), len(shards) * shard_tokens, tuple(slices)))
    return shards
