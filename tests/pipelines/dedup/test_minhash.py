"""Signatures are those of datasketch, bit for bit."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st
from shingle_definition import grams

from pipelines.dedup.minhash import EMPTY_VALUE, Permutations, minhash
from pipelines.dedup.shingles import ShingleSets, shingle_hash, shingle_sets

TEXTS = st.lists(st.sampled_from(["a", "b", "The", "Größe", "中文", "x1", "ΑΣ", "zeta", "--", "İx"]), max_size=40).map(
    " ".join
)


def sets_of(arrays: list[np.ndarray]) -> ShingleSets:
    ends = np.cumsum([0, *map(len, arrays)])
    return ShingleSets(np.concatenate([np.empty(0, dtype=np.uint64), *arrays]), ends)


def by_datasketch(text: str, n: int, permutations: int, seed: int) -> list[int]:
    sketch = MinHash(num_perm=permutations, seed=seed, scheme="affine64", hashfunc=shingle_hash)
    sketch.update_batch({" ".join(gram).encode() for gram in grams(text, n)})
    return sketch.hashvalues.tolist()


@given(st.lists(TEXTS, max_size=6), st.integers(1, 5), st.integers(1, 130), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_bit_equal_to_datasketch(texts: list[str], n: int, permutations: int, seed: int) -> None:
    sets = shingle_sets(pa.array(texts, pa.string()), n, 10)
    signatures = minhash(sets, Permutations.draw(permutations, seed)).values
    assert signatures.shape == (len(texts), permutations)
    assert signatures.tolist() == [by_datasketch(text, n, permutations, seed) for text in texts]


def test_an_empty_set_has_the_empty_signature() -> None:
    found = minhash(sets_of([np.empty(0, dtype=np.uint64)]), Permutations.draw(4, 1))
    assert found.values.tolist() == [[EMPTY_VALUE] * 4]
    assert found.set_hashes.tolist() == [0]


def test_equal_sets_have_equal_set_hashes_whatever_the_order_and_others_do_not() -> None:
    texts = ["a b c a b", "A, b! c a b c a b", "a b c a c"]
    hashes = minhash(shingle_sets(pa.array(texts), 2, 10), Permutations.draw(1, 1)).set_hashes
    # The 2-grams of the first are ab, bc and ca, as are those of the second.
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("size", "permutations"), [(100, 1024), (1_000, 1024), (10_000, 1024), (100_000, 1024), (10**6, 256), (10**7, 256)]
)
def test_estimate_is_unbiased_at_every_size(size: int, permutations: int) -> None:
    # Half of two sets is common: Jaccard 1/3. The estimate's standard deviation is 0.015, or 0.029 with 256.
    hashes = np.random.default_rng(size).integers(0, 2**64, size + size // 2, dtype=np.uint64)
    sets = sets_of([hashes[:size], hashes[size // 2 :]])
    one, other = minhash(sets, Permutations.draw(permutations, 1)).values
    assert np.mean(one == other) == pytest.approx(1 / 3, abs=4 * np.sqrt(2 / 9 / permutations))


def test_extreme_hashes_do_not_overflow() -> None:
    extremes = np.array([0, 1, 2**63, 2**64 - 1], dtype=np.uint64)
    sketch = MinHash(num_perm=64, seed=5, scheme="affine64", hashfunc=lambda b: int.from_bytes(b, "big"))
    sketch.update_batch([int(value).to_bytes(8, "big") for value in extremes])
    assert minhash(sets_of([extremes]), Permutations.draw(64, 5)).values[0].tolist() == sketch.hashvalues.tolist()
