from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.tokens.encoded import EncodedBlock
from pipelines.tokens.stream import cut_stream
from pipelines.tokens.transform import cut_shards
from schemas.errors import ContractError


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 70))
def test_shards_joined_are_the_stream_and_all_but_the_last_are_full(lengths: list[int], shard_tokens: int) -> None:
    stream = [(piece, token) for piece, length in enumerate(lengths) for token in range(length)]
    joined = []
    shards = cut_stream(lengths, shard_tokens)
    for number, shard in enumerate(shards):
        assert (shard.number, shard.first_token) == (number, len(joined))
        joined += [(one.piece, token) for one in shard.slices for token in range(one.start, one.start + one.tokens)]
        assert len(joined) - shard.first_token == shard.tokens
    assert joined == stream
    assert [shard.tokens for shard in shards[:-1]] == [shard_tokens] * (len(shards) - 1)
    assert len(shards) == -(-len(stream) // shard_tokens)


def block(part: int, number: int, tokens: int, first: int, last: int) -> EncodedBlock:
    return EncodedBlock(part, number, f"{part}-{number}", 1, tokens, bytes([first]), bytes([last]))


@given(st.permutations([block(0, 0, 5, 0, 1), block(0, 1, 3, 2, 3), block(2, 0, 4, 4, 4)]))
def test_the_order_in_which_blocks_arrive_makes_no_difference(blocks: list[EncodedBlock]) -> None:
    index, *shards = cut_shards("train", blocks, 6)
    assert [one.url for one in index.blocks] == ["0-0", "0-1", "2-0"]
    assert [[(s.blocks[one.piece].url, one.start, one.tokens) for one in s.cut.slices] for s in shards if s.cut] == [
        [("0-0", 0, 5), ("0-1", 0, 1)],
        [("0-1", 1, 2), ("2-0", 0, 4)],
    ]


def test_blocks_out_of_order_are_refused() -> None:
    with pytest.raises(ContractError, match=r"the parts of documents/ are not in the order of ids; run clean again"):
        list(cut_shards("train", [block(0, 0, 5, 0, 3), block(1, 0, 5, 3, 4)], 6))
