from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.permutation import permute, unpermute


@settings(max_examples=200)
@given(size=st.integers(1, 3000), key=st.binary(max_size=8))
def test_it_is_a_permutation(size: int, key: bytes) -> None:
    assert sorted(permute(np.arange(size), size, key).tolist()) == list(range(size))


@settings(max_examples=50)
@given(size=st.integers(1, 2**62), index=st.integers(0, 2**62 - 1), key=st.binary(max_size=8))
def test_single_elements_of_any_size_are_computed_alone(size: int, index: int, key: bytes) -> None:
    one = np.array([index % size])
    image = permute(one, size, key)
    assert 0 <= image[0] < size
    assert image[0] == permute(np.array([0, index % size]), size, key)[1]


@settings(max_examples=50)
@given(size=st.integers(1, 2**62), index=st.integers(0, 2**62 - 1), key=st.binary(max_size=8))
def test_the_inverse_gives_back_what_went_in(size: int, index: int, key: bytes) -> None:
    some = np.array([index % size, 0, size - 1])
    assert unpermute(permute(some, size, key), size, key).tolist() == some.tolist()


def test_it_looks_random() -> None:
    size = 20_000
    image = permute(np.arange(size), size, b"key").astype(np.float64)
    assert abs(np.corrcoef(np.arange(size), image)[0, 1]) < 0.03
    assert abs(np.corrcoef(image[:-1], image[1:])[0, 1]) < 0.03
    fixed = sum(int((permute(np.arange(100), 100, bytes([k])) == np.arange(100)).sum()) for k in range(200))
    assert 140 <= fixed <= 260  # a random permutation has one fixed point on average


def test_keys_send_an_element_everywhere_alike() -> None:
    places = [int(permute(np.array([0]), 5, number.to_bytes(4, "big"))[0]) for number in range(5000)]
    counts = np.bincount(places, minlength=5)
    assert ((counts - 1000) ** 2 / 1000).sum() < 18.5  # chi-square, 4 degrees of freedom, p = 0.001


def plain_permute(index: int, size: int, key: bytes) -> int:
    """The same network on Python integers."""
    digest = hashlib.blake2b(key, digest_size=64).digest()
    half = 1
    while 4**half < size:
        half += 1
    while True:
        left, right = index >> half, index & (2**half - 1)
        for number in range(8):
            mixed = (right + int.from_bytes(digest[8 * number : 8 * number + 8], "little")) % 2**64
            mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
            mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % 2**64
            left, right = right, left ^ ((mixed ^ (mixed >> 31)) % 2**half)
        index = left << half | right
        if index < size:
            return index


@settings(max_examples=50)
@given(size=st.integers(1, 2**62), index=st.integers(0, 2**62 - 1), key=st.binary(max_size=8))
def test_it_equals_the_network_on_plain_integers(size: int, index: int, key: bytes) -> None:
    assert permute(np.array([index % size]), size, key)[0] == plain_permute(index % size, size, key)


@pytest.mark.parametrize(("size", "digest"), [(1000, "6fe3e356637f0600"), (146_484_375, "24da3cf6ede7def7")])
def test_the_order_never_changes(size: int, digest: str) -> None:
    image = permute(np.arange(1000), size, b"golden").astype("<i8")
    assert hashlib.blake2b(image.tobytes(), digest_size=8).hexdigest() == digest
