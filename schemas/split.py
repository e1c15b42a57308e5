"""The one place that says which documents are train, validation and test."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["SPLITS", "Split", "split_of", "splits_of"]

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def split_of(content_hash: bytes, test_share: float, validation_share: float) -> Split:
    """The split of a document, by its content alone, so that every copy of a text falls into the same one.

    The first 8 bytes of `content_hash`, big-endian, as a fraction of 2^64: below `test_share` test, below
    `test_share + validation_share` validation, else train.
    """
    position = int.from_bytes(content_hash[:8], "big")
    if position < test_share * 2**64:
        return "test"
    if position < (test_share + validation_share) * 2**64:
        return "validation"
    return "train"


def splits_of(content_hashes: NDArray[Any], test_share: float, validation_share: float) -> NDArray[np.int8]:
    """`split_of` for many documents at once, as positions in `SPLITS`.

    Args:
        content_hashes: (N, 16) uint8.
        test_share: as for `split_of`.
        validation_share: as for `split_of`.
    """
    places = np.ascontiguousarray(content_hashes[:, :8]).view(">u8")[:, 0].astype(np.uint64)
    # A whole number lies below a bound where it lies below the bound rounded up, which a uint64 holds exactly.
    bounds = [min(math.ceil(share * 2**64), 2**64 - 1) for share in (test_share, test_share + validation_share)]
    found = np.where(places < np.uint64(bounds[0]), SPLITS.index("test"), SPLITS.index("validation"))
    found[places >= np.uint64(bounds[1])] = SPLITS.index("train")
    return found.astype(np.int8)
