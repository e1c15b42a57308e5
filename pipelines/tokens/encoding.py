"""Between text and token ids: the one place where documents of a corpus are encoded.

Text never gives the end-of-text id, not even text that spells `<|endoftext|>`; only the writer of a stream puts it
after a document. Tokens of a byte-level vocabulary stand for bytes, so the bytes of ids are known without decoding.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from schemas.errors import ContractError
from schemas.token_shard import token_dtype

__all__ = ["END_OF_TEXT", "LONGEST_WORD", "PIECE_CHARACTERS", "Ids", "TextEncoder", "byte_alphabet", "split_long"]

END_OF_TEXT = "<|endoftext|>"
# The library holds some 80 bytes for each character while it encodes (10M at once took 830 MiB), and learning from
# 47M characters took 504 MiB and 17 s of processor time in pieces of 2^20, 267 MiB and 11 s in pieces of 2^16.
PIECE_CHARACTERS = 2**16
LONGEST_WORD = 2**20
_WORD_START = re.compile(r"(?<=[^\W_])[ \n]")

Ids = NDArray[np.unsignedinteger[Any]]  # uint16 or uint32, see schemas.token_shard.token_dtype


def byte_alphabet() -> dict[str, int]:
    """The character that stands for each byte in the vocabulary files of byte-level BPE, with that byte.

    Printable Latin-1 characters stand for themselves, the other bytes in order for U+0100 onwards (Radford et al.
    2019, section 2.2, and the published vocabulary).
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{chr(b): b for b in printable}, **{chr(256 + i): b for i, b in enumerate(others)}}


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


def _batches(pieces: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    batch: list[tuple[int, str]] = []
    size = 0
    for number, piece in pieces:
        if batch and size + len(piece) > PIECE_CHARACTERS:
            yield batch
            batch, size = [], 0
        batch.append((number, piece))
        size += len(piece)
    if batch:
        yield batch


class TextEncoder:
    """A byte-level BPE tokenizer from the content of its `tokenizer.json`.

    Raises:
        ContractError: the content is no byte-level tokenizer with an end-of-text token.
    """

    def __init__(self, content: bytes) -> None:
        # Workers are what runs in parallel here; the library would start a pool of one thread a core in each of them.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        try:
            self._tokenizer = Tokenizer.from_str(content.decode("utf-8"))
        except Exception as error:  # the library raises bare Exceptions
            raise ContractError(f"this is no tokenizer.json: {error}; make the tokenizer under another name") from error
        self._tokenizer.encode_special_tokens = True  # text that spells a special token stays text
        self.vocabulary_size: int = max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        end_of_text = self._tokenizer.token_to_id(END_OF_TEXT)
        if end_of_text is None:
            raise ContractError(f"the tokenizer has no token {END_OF_TEXT}; make one with `corpusmill run tokenizer`")
        self.end_of_text: int = end_of_text
        self.dtype: np.dtype[np.unsignedinteger[Any]] = np.dtype(str(token_dtype(self.vocabulary_size)))

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """The bytes that each id stands for; none for the end-of-text id and for ids without a token."""
        alphabet = byte_alphabet()
        tokens = [b""] * self.vocabulary_size
        for token, number in self._tokenizer.get_vocab(with_added_tokens=True).items():
            if number == self.end_of_text:
                continue
            if any(character not in alphabet for character in token):
                raise ContractError(f"token {token!r} is not of a byte-level vocabulary; make another tokenizer")
            tokens[number] = bytes(alphabet[character] for character in token)
        return tokens

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        return np.array([len(token) for token in self.token_bytes], dtype=np.int64)

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text, without an end-of-text id.

        Raises:
            ContractError: the ids of a text do not stand for as many bytes as it has.
        """
        numbered = [(number, piece) for number, text in enumerate(texts) for piece in split_long(text)]
        found: list[list[Ids]] = [[] for _ in texts]
        for batch in _batches(numbered):
            # `encode_batch_fast` keeps no offsets: 1.03M tokens took 1.75 s of processor time, 2.43 s with `encode`.
            encodings = self._tokenizer.encode_batch_fast([piece for _, piece in batch], add_special_tokens=False)
            for (number, _), encoding in zip(batch, encodings, strict=True):
                found[number].append(np.array(encoding.ids, dtype=self.dtype))
        return [self._checked(text, np.concatenate(ids)) for text, ids in zip(texts, found, strict=True)]

    def _checked(self, text: str, ids: Ids) -> Ids:
        stored, wanted = int(self._lengths[ids].sum()), len(text.encode("utf-8"))
        if stored != wanted:
            raise ContractError(
                f"the ids of a text of {wanted} bytes, which begins {text[:40]!r}, stand for {stored} bytes; "
                "this tokenizer loses text: make another one"
            )
        return ids

    def decode(self, ids: Ids) -> bytes:
        """The bytes that the ids stand for; nothing for the end-of-text id."""
        tokens = self.token_bytes
        return b"".join(tokens[number] for number in ids.tolist())
