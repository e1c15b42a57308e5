"""Every pair of texts at a similarity, exactly, without sketches: what benchmarks hold deduplication against.

N-grams are numbered, not hashed. Pairs are found by prefixes (Bayardo, Ma and Srikant 2007, "Scaling Up All Pairs
Similarity Search"): with the n-grams of each text sorted from rare to common, two sets of Jaccard t or more share one
of the first `|A| - ceil(t |A|) + 1` of each; candidates are compared in full.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from shingle_definition import UNSPACED, grams

__all__ = ["true_pairs"]

I64 = NDArray[np.int64]


def _word_grams(texts: Sequence[str], n: int) -> list[I64]:
    """Each text's n-grams of words in order, as numbers; equal ones for equal n-grams."""
    vocabulary: dict[str, int] = {}
    words = [
        np.array([vocabulary.setdefault(word, len(vocabulary)) for word in re.findall(r"\w+", text.lower())], np.int64)
        for text in texts
    ]
    flat = np.concatenate(words)
    bits = len(vocabulary).bit_length()
    grams, used = flat, bits
    for length in range(1, n):
        if used + bits > 63:
            _, grams = np.unique(grams, return_inverse=True)
            used = len(flat).bit_length()
        grams = grams[:-1] << bits | flat[length:]
        used += bits
    _, grams = np.unique(grams, return_inverse=True)
    starts = np.cumsum([0, *map(len, words)]).tolist()
    return [grams[start : start + max(0, end - start - n + 1)] for start, end in itertools.pairwise(starts)]


def _sets(texts: Sequence[str]) -> list[I64]:
    """Each text as the ascending numbers of its n-grams: of five words, or of ten characters without spaces between."""
    sets = [np.unique(found) for found in _word_grams(texts, 5)]
    vocabulary: dict[tuple[str, ...], int] = {}
    for number, text in enumerate(texts):
        if not text.isascii() and UNSPACED.search(text):
            found = grams(text, 5, 10)
            if found and len(next(iter(found))) == 10:
                sets[number] = np.array(sorted(vocabulary.setdefault(one, -1 - len(vocabulary)) for one in found))
    _, flat = np.unique(np.concatenate(sets), return_inverse=True)
    return np.split(flat, np.cumsum([len(one) for one in sets])[:-1])


def _jaccard(one: I64, other: I64) -> float:
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)


def true_pairs(texts: Sequence[str], threshold: float) -> dict[tuple[int, int], float]:
    """The similarity of every pair of texts, by their numbers in ascending order, that has at least `threshold`."""
    sets = _sets(texts)
    often = np.bincount(np.concatenate(sets))
    prefixes = []
    for one in sets:
        size = len(one) - int(np.ceil(threshold * len(one) - 1e-9)) + 1
        prefixes.append(one[np.lexsort((one, often[one]))[:size]] if len(one) else one)
    owner = np.repeat(np.arange(len(sets)), [len(one) for one in prefixes])
    grams = np.concatenate(prefixes)
    order = np.lexsort((owner, grams))
    grams, owner = grams[order], owner[order]
    candidates: list[I64] = []
    for distance in range(1, len(grams)):
        same = np.flatnonzero(grams[distance:] == grams[:-distance])
        if len(same) == 0:
            break
        candidates.append(np.unique(owner[same] * len(sets) + owner[same + distance]))
    found = {}
    for pair in np.unique(np.concatenate([np.empty(0, dtype=np.int64), *candidates])).tolist():
        one, other = divmod(pair, len(sets))
        sizes = len(sets[one]), len(sets[other])
        if min(sizes) / max(sizes) >= threshold and (value := _jaccard(sets[one], sets[other])) >= threshold:
            found[one, other] = value
    return found
