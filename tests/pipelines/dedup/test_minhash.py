"""Signatures are those of datasketch, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dedup import minhash as module
from pipelines.dedup.minhash import EMPTY_VALUE, Permutations, minhash
from pipelines.dedup.shingles import shingle_hash, shingle_hashes, words

TEXTS = st.lists(st.sampled_from(["a", "b", "The", "Größe", "中", "x1", "y", "zeta", "--"]), max_size=40).map(" ".join)


def by_datasketch(text: str, n: int, permutations: int, seed: int) -> list[int]:
    sketch = MinHash(num_perm=permutations, seed=seed, scheme="affine64", hashfunc=shingle_hash)
    found = words(text)
    sketch.update_batch({" ".join(found[i : i + n]).encode() for i in range(len(found) - n + 1)})
    return sketch.hashvalues.tolist()


@given(st.lists(TEXTS, max_size=6), st.integers(1, 5), st.integers(1, 130), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_bit_equal_to_datasketch(texts: list[str], n: int, permutations: int, seed: int) -> None:
    signatures = minhash([shingle_hashes(text, n) for text in texts], Permutations.draw(permutations, seed))
    assert signatures.shape == (len(texts), permutations)
    assert signatures.tolist() == [by_datasketch(text, n, permutations, seed) for text in texts]


def test_an_empty_set_has_the_empty_signature() -> None:
    signatures = minhash([np.empty(0, dtype=np.uint64)], Permutations.draw(4, 1))
    assert signatures.tolist() == [[EMPTY_VALUE] * 4]


@pytest.mark.parametrize("batch", [1, 2, 7, 1000])
def test_batches_change_nothing(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    sets = [generator.integers(0, 2**64, size, dtype=np.uint64) for size in (0, 1, 5, 100, 0, 3, 64)]
    permutations = Permutations.draw(9, 2)
    expected = minhash(sets, permutations)
    monkeypatch.setattr(module, "_BATCH_HASHES", batch)
    assert np.array_equal(minhash(sets, permutations), expected)


@pytest.mark.parametrize("size", [100, 1_000, 10_000, 100_000])
def test_estimate_is_unbiased_at_every_size(size: int) -> None:
    # Half of two sets is common: Jaccard 1/3. With 1,024 permutations the estimate's standard deviation is 0.015.
    hashes = np.random.default_rng(size).integers(0, 2**64, size + size // 2, dtype=np.uint64)
    one, other = minhash([hashes[:size], hashes[size // 2 :]], Permutations.draw(1024, 1))
    assert np.mean(one == other) == pytest.approx(1 / 3, abs=0.06)


def test_extreme_hashes_do_not_overflow() -> None:
    extremes = np.array([0, 1, 2**63, 2**64 - 1], dtype=np.uint64)
    sketch = MinHash(num_perm=64, seed=5, scheme="affine64", hashfunc=lambda b: int.from_bytes(b, "big"))
    sketch.update_batch([int(value).to_bytes(8, "big") for value in extremes])
    assert minhash([extremes], Permutations.draw(64, 5))[0].tolist() == sketch.hashvalues.tolist()
