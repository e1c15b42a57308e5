"""What stands for each byte in the files of byte-level BPE, and texts cut where no word is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tokenizers import Tokenizer, models

__all__ = ["LONGEST_WORD", "PIECE_CHARACTERS", "byte_alphabet", "forget_dropout", "split_long"]

# `tokenizers` holds some 80 bytes for each character while it encodes (10M at once took 830 MiB), and learning from
# 47M characters took 504 MiB and 17 s of processor time in pieces of 2^20, 267 MiB and 11 s in pieces of 2^16.
PIECE_CHARACTERS = 2**16
LONGEST_WORD = 2**20
_WORD_START = re.compile(r"(?<=[^\W_])[ \n]")


def byte_alphabet() -> dict[str, int]:
    """The character that stands for each byte in the vocabulary files of byte-level BPE, with that byte.

    Printable Latin-1 characters stand for themselves, the other bytes in order for U+0100 onwards (Radford et al.
    2019, section 2.2, and the published vocabulary).
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{chr(b): b for b in printable}, **{chr(256 + i): b for i, b in enumerate(others)}}


def forget_dropout(tokenizer: Tokenizer) -> None:
    """Let a tokenizer give the same ids each time: BPE dropout (Provilkov et al. 2020) leaves merges out at random."""
    if isinstance(tokenizer.model, models.BPE):
        tokenizer.model.dropout = None


def split_long(text: str, limit: int = PIECE_CHARACTERS, longest_word: int = LONGEST_WORD) -> Iterator[str]:
    """The text in pieces of about `limit` characters that have the same ids as the whole.

    GPT-2's pattern starts a new word at a space or line break after a letter or digit, whatever lies before, so a cut
    there changes nothing. Where there is no such place for `longest_word` characters, the text is cut after them.
    """
    start = 0
    while len(text) - start > limit:
        near, far = start + limit, start + longest_word
        cut = next((i for i in range(near, start, -1) if text[i] in " \n" and text[i - 1].isalnum()), None)
        if cut is None:
            later = _WORD_START.search(text, near, far)
            cut = later.start() if later else min(far, len(text))
        yield text[start:cut]
        start = cut
    if start < len(text) or not text:
        yield text[start:]
