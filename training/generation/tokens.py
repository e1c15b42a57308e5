"""Between text and token ids."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

__all__ = ["decode", "encode"]


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of `text`; text that spells a special token does not become that token."""
    tokenizer.encode_special_tokens = True
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def decode(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The text of `ids`; bytes that are no UTF-8 become U+FFFD."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True))
