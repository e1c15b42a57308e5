"""Prompt/answer pairs as rows of token ids and labels.

Shape legend: B pairs, T positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from schemas.identity import length_prefixed
from schemas.tasks import Pair
from training.data.permutation import permute
from training.generation.tokens import encode
from training.model.loss import IGNORED_LABEL

__all__ = ["Sample", "collate", "encode_pairs", "pairs_of_step"]


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


def collate(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Inputs and labels (B, T) int64, one sample a row.

    Rows are padded on the right with id 0, which causal attention never looks at from a labelled position; labels of
    prompts and padding are ignored.
    """
    width = max(len(sample.ids) for sample in samples) - 1
    inputs_BT = torch.zeros(len(samples), width, dtype=torch.int64)
    labels_BT = torch.full((len(samples), width), IGNORED_LABEL, dtype=torch.int64)
    for row, sample in enumerate(samples):
        length = len(sample.ids) - 1
        inputs_BT[row, :length] = torch.tensor(sample.ids[:-1])
        labels_BT[row, length - sample.scored : length] = torch.tensor(sample.ids[len(sample.ids) - sample.scored :])
    return inputs_BT, labels_BT


def pairs_of_step(step: int, batch: int, pairs: int, seed: int) -> list[int]:
    """Which pairs step `step` (from 0) trains on: each epoch is a permutation of its own; no state is kept."""
    positions = np.arange(step * batch, (step + 1) * batch, dtype=np.int64)
    chosen: list[int] = []
    for epoch in np.unique(positions // pairs).tolist():
        here = positions[positions // pairs == epoch] % pairs
        key = length_prefixed(b"fine-tuning order", str(seed).encode(), str(epoch).encode())
        chosen += permute(here, pairs, key).tolist()
    return chosen
