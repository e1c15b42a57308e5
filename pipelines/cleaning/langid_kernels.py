"""The walk of py3langid over a text, compiled (see `pipelines.engine.compiled`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.engine.compiled import compiled

__all__ = ["LONGEST_FEATURE", "visited_features"]

U16 = NDArray[np.uint16]
I32 = NDArray[np.int32]
# Bytes of the longest n-gram that the model knows; no state depends on what lies further back.
LONGEST_FEATURE = 6
# That go through parts of a text side by side: 39 MB of moves lie in no cache, and one walk alone waits at each byte.
_WALKS = 16


@compiled
def visited_features(text: NDArray[np.uint8], moves: U16, states: I32, counts: I32) -> tuple[I32, I32]:
    """The features that an automaton (Aho and Corasick 1975) meets in a text, in the order of their first time.

    Args:
        text: bytes.
        moves: by row and byte the next state.
        states: by state the row of `moves`, which states that move alike share, and the feature that it stands for or
            -1; in one array, because most of the time goes into waiting for memory.
        counts: zeros, one for each feature; they are zeros again afterwards.

    Returns:
        The features, and how often each was met.
    """
    met = np.empty(len(text), dtype=np.int32)
    step = len(text) // _WALKS + 1
    at = np.zeros(_WALKS, dtype=np.int64)
    for offset in range(-LONGEST_FEATURE, step):
        for walk in range(_WALKS):
            place = walk * step + offset
            if 0 <= place < len(text):
                at[walk] = moves[(np.int64(states[at[walk], 0]) << 8) + text[place]]
                if offset >= 0:
                    met[place] = states[at[walk], 1]
    found = np.empty(len(text), dtype=np.int32)
    number = 0
    for feature in met:
        if feature >= 0:
            found[number] = feature
            number += counts[feature] == 0
            counts[feature] += 1
    times = np.empty(number, dtype=np.int32)
    for place in range(number):
        times[place] = counts[found[place]]
        counts[found[place]] = 0
    return found[:number].copy(), times
