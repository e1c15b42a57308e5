"""py3langid with its walk over a text compiled: the same answer, bit for bit, in half the time.

The library looks for byte n-grams with an automaton (Aho and Corasick 1975), one step of Python a byte. What is left
is waiting for memory: the rows of some 900 features among 57 MB of weights, and their product with the counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from pipelines.cleaning.langid_kernels import visited_features

__all__ = ["WalkingIdentifier", "load_identifier"]


class WalkingIdentifier(LanguageIdentifier):  # type: ignore[misc]  # the library has no annotations
    """The library's identifier, but for how it walks."""

    def __init__(self, weights: NDArray[np.float16], *given: Any, **named: Any) -> None:
        # As they come, 312 of some 430 µs a page go into making them 32 bits wide; all at once, 57 MB for 28.
        super().__init__(weights.astype(np.float32), *given, **named)
        self._moves = np.frombuffer(self.tk_nextmove, dtype=f"u{self.tk_nextmove.itemsize}")
        self._states = np.stack(
            [np.array(self.tk_row, dtype=np.int32), np.array(self.tk_output, dtype=np.int32)], axis=1
        )
        self._counts = np.zeros(len(weights), dtype=np.int32)

    def _raw_score(self, text: bytes) -> NDArray[np.float32]:
        """Log-posterior of each class; the library's method of this name, which its other methods call."""
        letters = np.frombuffer(text, dtype=np.uint8)
        # In the order in which the library meets them, so that sums of floats are the same to the last bit.
        features, times = visited_features(letters, self._moves, self._states, self._counts)
        if not len(features):
            return super()._raw_score(text)  # type: ignore[no-any-return]
        weights = np.log1p(times.astype(np.float32)) @ self.nb_ptc[features]
        return np.asarray(weights + self.nb_pc)


def load_identifier() -> WalkingIdentifier:
    """The identifier with the model that the library brings along; gives probabilities."""
    return WalkingIdentifier.from_model_file(MODEL_FILE, norm_probs=True)  # type: ignore[no-any-return]
