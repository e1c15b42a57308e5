from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from schemas.errors import ShardError
from schemas.token_shard import (
    SHARD_TOKENS,
    ShardHeader,
    header_of,
    shard_name,
    shard_schema,
    token_checksum,
    token_dtype,
    token_table,
    tokenizer_fingerprint,
)


def header(**changes: Any) -> ShardHeader:
    values = {
        "tokenizer": "bpe",
        "tokenizer_fingerprint": "f",
        "vocabulary_size": 400,
        "end_of_text": 399,
        "source": "web",
        "partition": "p/1",
        "split": "train",
        "number": 0,
        "first_token": 0,
        "tokens": 3,
        "checksum": "c",
    }
    return ShardHeader(**{**values, **changes})


@pytest.mark.parametrize(
    ("vocabulary_size", "kind"),
    [(257, pa.uint16()), (65_536, pa.uint16()), (65_537, pa.uint32()), (2**20, pa.uint32())],
)
def test_ids_are_as_wide_as_the_largest_needs(vocabulary_size: int, kind: pa.DataType) -> None:
    assert token_dtype(vocabulary_size) == kind
    assert np.iinfo(str(kind)).max >= vocabulary_size - 1
    assert shard_schema(header(vocabulary_size=vocabulary_size)).field("token").type == kind


def test_a_header_comes_back_from_the_file() -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, shard_schema(header())):
        pass
    assert header_of(pa.ipc.open_file(sink.getvalue()).schema, "a.arrow") == header()


def test_what_is_no_shard_is_refused_by_name() -> None:
    plain = pa.schema([pa.field("token", pa.uint16())])
    with pytest.raises(ShardError, match=r"a.arrow is not a token shard: its schema has no corpusmill header"):
        header_of(plain, "a.arrow")
    key = next(iter(shard_schema(header()).metadata))
    for content, message in (
        (b"{", r"a.arrow has a damaged header"),
        (b'{"version": 9}', r"a.arrow is a shard of version 9, this program reads 1"),
        (b'{"version": 1}', r"a.arrow has a damaged header: .*Field required"),
    ):
        with pytest.raises(ShardError, match=r"(?s)" + message):
            header_of(plain.with_metadata({key: content}), "a.arrow")
    wide = pa.schema([pa.field("token", pa.uint32())], metadata=shard_schema(header()).metadata)
    with pytest.raises(ShardError, match=r"a.arrow stores uint32, a vocabulary of 400 needs uint16"):
        header_of(wide, "a.arrow")


def test_names_and_hashes() -> None:
    assert (token_table("bpe", "train"), shard_name(7), SHARD_TOKENS) == (
        "tokens/bpe/train",
        "shard-00007.arrow",
        2**27,
    )
    # By `printf '\1\0\2\0\377\377' | b2sum -l 256` of the coreutils, and of 'x'.
    known = "53ab2d2f1e84283bc5862051d1b8d884a5d987282330977173eea59f53b1ff32"
    assert token_checksum([np.array([1, 2, 65_535], np.uint16)]) == known
    assert token_checksum([np.array([1], ">u2"), np.array([], np.uint16), np.array([2, 65_535], np.uint16)]) == known
    assert token_checksum([np.array([1, 2, 65_535], np.uint32)]) != known
    assert tokenizer_fingerprint(b"x") == "d161d71145abeec5ef15abcf0459cec60a27321e2f0ac0ef7ace5254f5944476"
