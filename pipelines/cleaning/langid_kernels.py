"""The walk of py3langid over a text, compiled (see `pipelines.dedup.compiled`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.dedup.compiled import compiled

__all__ = ["visited_features"]

U16 = NDArray[np.uint16]
I32 = NDArray[np.int32]


@compiled
def visited_features(text: NDArray[np.uint8], moves: U16, rows: U16, features: I32, counts: I32) -> tuple[I32, I32]:
    """The features that an automaton (Aho and Corasick 1975) meets in a text, in the order of their first time.

    Args:
        text: bytes.
        moves: by row and byte the next state.
        rows: by state the row of `moves`; states that move alike share one.
        features: by state the feature that it stands for, or -1.
        counts: zeros, one for each feature; they are zeros again afterwards.

    Returns:
        The features, and how often each was met.
    """
    found = np.empty(len(text), dtype=np.int32)
    number = 0
    state = np.int64(0)
    for letter in text:
        state = np.int64(moves[(np.int64(rows[state]) << 8) + letter])
        feature = features[state]
        if feature >= 0:
            found[number] = feature
            number += counts[feature] == 0
            counts[feature] += 1
    times = np.empty(number, dtype=np.int32)
    for place in range(number):
        times[place] = counts[found[place]]
        counts[found[place]] = 0
    return found[:number].copy(), times
