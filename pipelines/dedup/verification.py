"""Exact Jaccard similarity of the n-gram sets of texts.

Sets are ascending arrays of 64-bit hashes, of another family than those that signatures are made of, and are merged.
Two different n-grams have the same hash with a probability of 2^-64, so among the N of two texts a collision changes
the similarity, by about 1/N, with a probability below N^2 / 2^65: 3e-8 for a million n-grams.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.dedup.shingles import ShingleSets, shingle_sets
from schemas.configs.dedup import SignatureConfig

__all__ = ["comparable_sets", "similarities"]

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


def comparable_sets(texts: pa.Array, config: SignatureConfig) -> ShingleSets:
    """The sets of texts as `similarities` compares them: chained hashes, ascending."""
    return shingle_sets(texts, config.ngram, config.ngram_characters, chained=True).ascending()


def similarities(left: ShingleSets, right: ShingleSets, pairs: tuple[I64, I64], threshold: float) -> F64:
    """The similarity of pairs of sets, `|left ∩ right| / |left ∪ right|`; 0 for two empty ones.

    Args:
        left: sets as `comparable_sets` gives them.
        right: further ones, or the same.
        pairs: by pair the number of its set in `left`, and that of its set in `right`.
        threshold: pairs whose sizes alone rule it out are not merged and get 0.
    """
    from pipelines.dedup.text_kernels import overlaps

    both = overlaps(*left, *right, *pairs, threshold)
    either = left.counts[pairs[0]] + right.counts[pairs[1]] - both
    values: F64 = np.divide(both, either, out=np.zeros(len(both)), where=either > 0)
    return values
