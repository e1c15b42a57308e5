r"""A text as hashed words: which of 2^bits buckets its words fall into, and how often.

A word is a match of `\w+` in the lower-cased text. Its 64-bit hash is that of `pipelines.dedup.shingles`; the bucket is
the highest bits of that hash mixed with the seed's, so that another seed gives other collisions. Feature hashing:
Weinberger et al. 2009; as in Brown et al. 2020, appendix A, there is no sign and no table of words.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.dedup.mixing import mix64
from pipelines.dedup.shingles import word_hashes

__all__ = ["HashedWords", "Weighting", "hashed_words", "weigh"]

Weighting = Literal["root-share", "count"]


class HashedWords(NamedTuple):
    """Buckets that are hit, ascending (int64), and how often each is (int64)."""

    buckets: NDArray[np.int64]
    counts: NDArray[np.int64]


def hashed_words(text: str, bits: int, seed: int) -> HashedWords:
    """The words of a text by bucket; both arrays are empty for a text without words."""
    salt = mix64(np.array([seed + 1], dtype=np.uint64))
    mixed = mix64(word_hashes(text) ^ salt) >> np.uint64(64 - bits)
    ordered = np.sort(mixed).astype(np.int64)
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    return HashedWords(ordered[starts], np.diff(starts, append=len(ordered)))


def weigh(counts: NDArray[np.int64], weighting: Weighting) -> NDArray[np.float64]:
    """The features' values.

    `root-share` is the square root of each bucket's share of the words. Its squares add up to 1, so texts of any length
    are as long as each other; and a square root is rounded alike on every machine, which a logarithm is not.
    """
    values = counts.astype(np.float64)
    return np.sqrt(values / values.sum()) if weighting == "root-share" else values
