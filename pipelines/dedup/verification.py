"""Exact Jaccard similarity of the word n-gram sets of texts.

N-grams are numbered, not hashed: within one batch every distinct word has a number, and every distinct n-gram has one
made from those of its words. So the similarity holds for the n-grams themselves, and a collision of hashes cannot
remove a text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.dedup.shingles import lowered_words, pieces, sorted_distinct

__all__ = ["jaccard", "ngram_sets", "pair_batches", "similarities"]

I64 = NDArray[np.int64]

# Characters whose words are listed as strings at once: about 60 bytes a word, 10 MB for a piece of 2^20.
_PIECE_CHARACTERS = 2**20


def _word_numbers(text: str, vocabulary: dict[str, int]) -> I64:
    numbers = [
        np.fromiter((vocabulary.setdefault(word, len(vocabulary)) for word in lowered_words(piece)), dtype=np.int64)
        for piece in pieces(text.lower(), _PIECE_CHARACTERS)
    ]
    return np.concatenate(numbers) if numbers else np.empty(0, dtype=np.int64)


def ngram_sets(texts: Sequence[str], n: int) -> list[I64]:
    """The n-gram sets of texts as ascending arrays of numbers, which mean the same n-gram within this call.

    A text of fewer than n words has an empty set.
    """
    vocabulary: dict[str, int] = {}
    numbered = [_word_numbers(text, vocabulary) for text in texts]
    flat = np.concatenate(numbered) if numbered else np.empty(0, dtype=np.int64)
    # The numbers of an n-gram's words stand side by side as long as they fit, then its words so far get one new number;
    # a batch has fewer than 2^31 words, so there is room for the next word beside it.
    word_bits = bits = len(vocabulary).bit_length()
    grams = flat
    for length in range(1, n):
        if bits + word_bits > 63:
            _, grams = np.unique(grams, return_inverse=True)
            bits = len(flat).bit_length()
        grams = grams[:-1] << word_bits | flat[length:]
        bits += word_bits
    sets = []
    start = 0
    for numbers in numbered:
        # N-grams that begin in the last n-1 words run into the next text and belong to none.
        sets.append(sorted_distinct(grams[start : start + max(0, len(numbers) - n + 1)]))
        start += len(numbers)
    return sets


def jaccard(left: I64, right: I64) -> float:
    """`|left ∩ right| / |left ∪ right|` of two ascending arrays without repeats; 0 where both are empty."""
    both = len(np.intersect1d(left, right, assume_unique=True))
    either = len(left) + len(right) - both
    return both / either if either else 0.0


def pair_batches(lengths: NDArray[np.int64], left: I64, right: I64, budget: int) -> list[tuple[int, int]]:
    """Cut a list of pairs into runs whose distinct texts have at most `budget` characters together.

    Args:
        lengths: characters of each text.
        left: number of the first text of each pair.
        right: number of the second text of each pair.
        budget: characters; a pair that alone has more is a run of its own.

    Returns:
        Start and end of each run, in order.
    """
    runs = []
    start, size = 0, 0
    seen: set[int] = set()
    for position, pair in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        added = sum(int(lengths[text]) for text in set(pair) - seen)
        if seen and size + added > budget:
            runs.append((start, position))
            start, size, seen = position, 0, set()
            added = sum(int(lengths[text]) for text in set(pair))
        seen.update(pair)
        size += added
    if seen:
        runs.append((start, len(left)))
    return runs


def similarities(texts: Sequence[str], left: I64, right: I64, n: int, budget: int) -> NDArray[np.float64]:
    """The exact similarity of pairs of texts.

    Args:
        texts: the texts.
        left: number of the first text of each pair.
        right: number of the second text of each pair.
        n: words of an n-gram.
        budget: characters whose n-grams are held at once; 10 bytes of memory each were measured on pages.
    """
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    values = np.empty(len(left), dtype=np.float64)
    for start, end in pair_batches(lengths, left, right, budget):
        used, places = np.unique(np.concatenate([left[start:end], right[start:end]]), return_inverse=True)
        sets = ngram_sets([texts[number] for number in used], n)
        ones, others = places[: end - start].tolist(), places[end - start :].tolist()
        values[start:end] = [jaccard(sets[one], sets[other]) for one, other in zip(ones, others, strict=True)]
    return values
