"""Prompt/answer pairs as token ids, and which of them a step trains on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from schemas.identity import length_prefixed
from schemas.tasks import Pair
from training.data.permutation import permute
from training.generation.tokens import encode

__all__ = ["Sample", "encode_pairs", "pairs_of_step"]


@dataclass(frozen=True)
class Sample:
    """end-of-text, prompt, answer, end-of-text; the last `scored` ids are labels."""

    ids: list[int]
    scored: int
    truncated: bool


def encode_pairs(
    pairs: Sequence[Pair], tokenizer: Tokenizer, delimiter: str, end_of_text: int, context: int
) -> list[Sample]:
    """One sample a pair; the loss is on the answer and the end-of-text id after it.

    What does not fit in the context is cut from the left, so that a long prompt keeps its end.
    """
    samples = []
    for pair in pairs:
        answer = [*encode(tokenizer, delimiter + pair.answer), end_of_text]
        ids = [end_of_text, *encode(tokenizer, pair.prompt), *answer]
        kept = ids[-(context + 1) :]
        samples.append(Sample(kept, min(len(answer), len(kept) - 1), len(kept) < len(ids)))
    return samples


def pairs_of_step(step: int, batch: int, pairs: int, seed: int) -> list[int]:
    """Which pairs step `step` (from 0) trains on: each epoch is a permutation of its own; no state is kept."""
    positions = np.arange(step * batch, (step + 1) * batch, dtype=np.int64)
    chosen: list[int] = []
    for epoch in np.unique(positions // pairs).tolist():
        here = positions[positions // pairs == epoch] % pairs
        key = length_prefixed(b"fine-tuning order", str(seed).encode(), str(epoch).encode())
        chosen += permute(here, pairs, key).tolist()
    return chosen
