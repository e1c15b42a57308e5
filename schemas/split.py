"""The one place that says which documents are train, validation and test."""

from __future__ import annotations

from typing import Literal

__all__ = ["SPLITS", "Split", "split_of"]

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
