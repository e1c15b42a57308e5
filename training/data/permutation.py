"""A pseudo-random permutation of 0 … n-1 that is computed, not stored: any element in O(1) time and memory.

A balanced Feistel network (Luby and Rackoff 1988) permutes the integers of an even number of bits; results of n or
more are put through it again until they fall below n ("cycle walking", Black and Rogaway 2002, "Ciphers with Arbitrary
Finite Domains", section 3), which keeps it a permutation. At most four times n integers are permuted, so an element
takes fewer than four walks on average.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["permute", "unpermute"]

# Three rounds are enough for a large domain (Luby and Rackoff); for domains of a few bits more rounds mix better.
_ROUNDS = 8


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    # The finalizer of SplitMix64 (Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators").
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _feistel(values: NDArray[np.uint64], keys: NDArray[np.uint64], half_bits: int) -> NDArray[np.uint64]:
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> shift, values & mask
    for key in keys:
        left, right = right, left ^ (_mix(right + key) & mask)
    return (left << shift) | right


def _inverse_feistel(values: NDArray[np.uint64], keys: NDArray[np.uint64], half_bits: int) -> NDArray[np.uint64]:
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> shift, values & mask
    for key in keys[::-1]:
        left, right = right ^ (_mix(left + key) & mask), left
    return (left << shift) | right


def _round_keys(key: bytes) -> NDArray[np.uint64]:
    digest = hashlib.blake2b(key, digest_size=8 * _ROUNDS).digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)


def _half_bits(size: int) -> int:
    return max(1, ((size - 1).bit_length() + 1) // 2)


def permute(indices: NDArray[np.int64], size: int, key: bytes) -> NDArray[np.int64]:
    """Images of `indices` under the permutation of 0 … size-1 that `key` names.

    Args:
        indices: each in 0 … size-1.
        size: 1 to 2^62.
        key: any bytes; different keys name unrelated permutations.

    Returns:
        int64, of the shape of `indices`.
    """
    keys, half_bits = _round_keys(key), _half_bits(size)
    values = _feistel(indices.astype(np.uint64), keys, half_bits)
    outside = values >= size
    while outside.any():
        values[outside] = _feistel(values[outside], keys, half_bits)
        outside = values >= size
    return values.astype(np.int64)


def unpermute(images: NDArray[np.int64], size: int, key: bytes) -> NDArray[np.int64]:
    """What `permute` gives these images for: its inverse, by the rounds in reverse order.

    Args:
        images: each in 0 … size-1.
        size: as given to `permute`.
        key: as given to `permute`.
    """
    keys, half_bits = _round_keys(key), _half_bits(size)
    values = _inverse_feistel(images.astype(np.uint64), keys, half_bits)
    outside = values >= size
    while outside.any():
        values[outside] = _inverse_feistel(values[outside], keys, half_bits)
        outside = values >= size
    return values.astype(np.int64)
