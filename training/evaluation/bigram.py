"""The baseline that a language model must beat: add-one smoothed bigrams of the same shards.

P(b | a) = (count(a, b) + 1) / (count(a) + V). Only pairs that the scored split holds are counted in the training split,
so memory follows the size of the former and not of V².
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training.data.shards import TokenStream

__all__ = ["bigram_nats"]

Integers = NDArray[np.int64]

# Tokens read at once: 32 MiB of pairs.
_CHUNK = 2**22


def _pairs(streams: list[TokenStream], vocabulary: int, end_of_text: int) -> Iterator[Integers]:
    """Pairs (a, b) as a·V + b, in chunks; the first token of a stream follows an end-of-text id."""
    for stream in streams:
        before = end_of_text
        for start in range(0, stream.tokens, _CHUNK):
            tokens = np.empty(min(_CHUNK, stream.tokens - start) + 1, dtype=np.int64)
            tokens[0] = before
            stream.read(start, tokens[1:])
            before = int(tokens[-1])
            yield tokens[:-1] * vocabulary + tokens[1:]


def _count(streams: list[TokenStream], vocabulary: int, end_of_text: int) -> tuple[Integers, Integers]:
    """Distinct pairs, ascending, and how often each occurs."""
    keys, counts = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    for pairs in _pairs(streams, vocabulary, end_of_text):
        new_keys, new_counts = np.unique(pairs, return_counts=True)
        merged, places = np.unique(np.concatenate((keys, new_keys)), return_inverse=True)
        totals = np.zeros(len(merged), dtype=np.int64)
        np.add.at(totals, places, np.concatenate((counts, new_counts)))
        keys, counts = merged, totals
    return keys, counts


def bigram_nats(train: list[TokenStream], scored: list[TokenStream], vocabulary: int, end_of_text: int) -> float:
    """Negative log-likelihood of all tokens of `scored` under the bigrams of `train`, in nats, summed."""
    keys, occurrences = _count(scored, vocabulary, end_of_text)
    pair_counts = np.zeros(len(keys), dtype=np.int64)
    first_counts = np.zeros(vocabulary, dtype=np.int64)
    for pairs in _pairs(train, vocabulary, end_of_text) if len(keys) else ():
        first_counts += np.bincount(pairs // vocabulary, minlength=vocabulary)
        places = np.minimum(np.searchsorted(keys, pairs), len(keys) - 1)
        known = places[keys[places] == pairs]
        pair_counts += np.bincount(known, minlength=len(keys))
    losses = np.log(first_counts[keys // vocabulary] + vocabulary) - np.log(pair_counts + 1)
    return math.fsum((losses * occurrences).tolist())
