"""MinHash signatures, bit-equal to those of datasketch.

Equal to `datasketch.MinHash(num_perm, seed=seed, scheme="affine64", hashfunc=shingle_hash)` of datasketch 2.0: each
hash is mixed once, then permuted by `a * h + b` modulo 2^64 with odd `a`; a signature holds the least permuted value
for each of the permutations (Broder 1997).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.dedup.shingles import ShingleSets

__all__ = ["EMPTY_VALUE", "Permutations", "Signatures", "minhash", "packed", "unpacked"]

U64 = NDArray[np.uint64]

EMPTY_VALUE = 2**64 - 1  # every value of the signature of an empty set


class Permutations(NamedTuple):
    """Parameters of `num` permutations of 64-bit values, `h -> a * h + b`."""

    a: U64
    b: U64

    @classmethod
    def draw(cls, num: int, seed: int) -> Permutations:
        """The permutations of datasketch 2.0 for scheme affine64.

        Args:
            num: how many.
            seed: from 0 to 2^32 - 1.
        """
        generator = np.random.RandomState(seed)  # its stream of numbers is frozen, that of newer generators is not
        a = generator.randint(0, 2**63, num, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        b = generator.randint(0, 2**64, num, dtype=np.uint64)
        return cls(a, b)


class Signatures(NamedTuple):
    """What is kept of each of several sets.

    Attributes:
        values: shape (sets, permutations); a row of `EMPTY_VALUE` for an empty set.
        set_hashes: by set the sum of its mixed hashes, so equal sets have equal ones.
    """

    values: U64
    set_hashes: U64


def minhash(sets: ShingleSets, permutations: Permutations) -> Signatures:
    """The signatures of sets of hashes, by permutations drawn once for all texts."""
    from pipelines.dedup.text_kernels import least_permuted

    if len(sets.ends) == 1:
        return Signatures(np.empty((0, len(permutations.a)), dtype=np.uint64), np.empty(0, dtype=np.uint64))
    return Signatures(*least_permuted(sets.hashes, sets.ends, permutations.a, permutations.b))


def packed(values: U64, present: NDArray[np.bool_]) -> pa.Array:
    """Signatures as a column of bytes, empty where not present; shape (texts, permutations) in."""
    ends = np.cumsum(np.where(present, values.shape[1] * 8, 0), dtype=np.int64)
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), ends])
    content = values[present].astype("<u8").tobytes()
    return pa.Array.from_buffers(pa.large_binary(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(content)])


def unpacked(column: pa.Array) -> U64:
    """The values of a column of signatures of which none is empty; shape (texts, permutations)."""
    _, offsets, content = column.cast(pa.large_binary()).buffers()  # parts from before have 32-bit offsets
    places = np.frombuffer(offsets, dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    values = np.frombuffer(content, dtype="<u8")[places[0] // 8 : places[-1] // 8]
    return values.astype(np.uint64, copy=False).reshape(len(column), -1)
