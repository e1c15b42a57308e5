"""The mixing of 64-bit values by which hashes here are made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mix64"]

U64 = NDArray[np.uint64]


def mix64(values: U64) -> U64:
    """The 64-bit finalizer of MurmurHash3 (Appleby 2011): a bijection of 64-bit values that spreads every bit."""
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))
