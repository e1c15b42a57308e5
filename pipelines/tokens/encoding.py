"""Between text and token ids: the one place where documents of a corpus are encoded.

Text never gives a special id, not even text that spells `<|endoftext|>`; only the writer of a stream puts the
end-of-text id after a document. Tokens of a byte-level vocabulary stand for bytes, so the bytes of ids are known
without decoding; of other vocabularies every text is decoded and compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from pipelines.tokens.byte_level import PIECE_CHARACTERS, byte_alphabet, forget_dropout, split_long
from pipelines.tokens.exact_paths import open_path
from pipelines.tokens.pretokenization import ends_words_at_spaces, pattern_of
from schemas.errors import ContractError
from schemas.library_errors import reason_of
from schemas.token_shard import token_dtype

__all__ = ["END_OF_TEXT", "Ids", "TextEncoder"]

END_OF_TEXT = "<|endoftext|>"

Ids = NDArray[np.unsignedinteger[Any]]  # uint16 or uint32, see schemas.token_shard.token_dtype


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


def _joined(parts: list[Ids], dtype: Any) -> Ids:
    return np.concatenate([np.empty(0, dtype), *parts], dtype=dtype, casting="unsafe")


class TextEncoder:
    """A tokenizer from the content of its `tokenizer.json`.

    Args:
        content: of the file.
        end_of_text: the token that is put after a document.
        path: which of `exact_paths.PATHS` makes the ids; `choose_path` says which one may.

    Raises:
        ContractError: the content is no tokenizer with such a token, or the path cannot serve here.
    """

    def __init__(self, content: bytes, end_of_text: str = END_OF_TEXT, path: str = "tokenizers") -> None:
        # Workers are what runs in parallel here; the library would start a pool of one thread a core in each of them.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        try:
            self._tokenizer = Tokenizer.from_str(content.decode("utf-8"))
        except BaseException as error:  # the library raises bare Exceptions, and panics
            reason = reason_of(error)
            raise ContractError(
                f"this is no tokenizer.json: {reason}; make the tokenizer under another name"
            ) from error
        self._tokenizer.encode_special_tokens = True  # text that spells a special token stays text
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        forget_dropout(self._tokenizer)
        self.vocabulary_size: int = max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        number = self._tokenizer.token_to_id(end_of_text)
        if number is None:
            raise ContractError(f"the tokenizer has no token {end_of_text}; make one with `corpusmill run tokenizer`")
        self.end_of_text: int = number
        self.dtype: np.dtype[np.unsignedinteger[Any]] = np.dtype(str(token_dtype(self.vocabulary_size)))
        self._cuts = ends_words_at_spaces(pattern_of(content))
        self._fast = None if path == "tokenizers" else open_path(path, content)

    @cached_property
    def token_bytes(self) -> list[bytes] | None:
        """The bytes that each id stands for: none for special ids and ids without a token.

        None as a whole where the vocabulary is not of bytes, so that ids mean something only together.
        """
        alphabet = byte_alphabet()
        tokens = [b""] * self.vocabulary_size
        added = self._tokenizer.get_added_tokens_decoder()
        for token, number in self._tokenizer.get_vocab(with_added_tokens=True).items():
            if number in added:
                tokens[number] = b"" if added[number].special else added[number].content.encode("utf-8")
            elif any(character not in alphabet for character in token):
                return None
            else:
                tokens[number] = bytes(alphabet[character] for character in token)
        tokens[self.end_of_text] = b""
        return tokens

    @cached_property
    def _lengths(self) -> NDArray[np.unsignedinteger[Any]]:
        lengths = [len(token) for token in self.token_bytes or ()]
        # In one byte each they stay in the second-level cache: 2.0 ns a token to look up and add, 2.4 in four bytes.
        return np.array(lengths, dtype=np.uint8 if max(lengths, default=0) < 256 else np.uint32)

    def vocabulary(self) -> list[str]:
        """The tokens as the file spells them, special ones left out; in no order."""
        added = self._tokenizer.get_added_tokens_decoder()
        vocabulary: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        return [token for token, number in vocabulary.items() if number not in added]

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text, without an end-of-text id.

        Raises:
            ContractError: the ids of a text do not stand for its bytes.
        """
        found = self.unchecked(texts)
        self.check(texts, found, np.array([len(text.encode("utf-8")) for text in texts], dtype=np.int64))
        return found

    def unchecked(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text; `check` or `check_stream` has to follow."""
        if self._fast is None:
            return self._reference(texts)
        return [self._quick(text) for text in texts]

    def _quick(self, text: str) -> Ids:
        assert self._fast is not None
        try:
            if len(text) <= PIECE_CHARACTERS or not self._cuts:
                return self._fast(text).astype(self.dtype)
            return _joined([self._fast(piece) for piece in split_long(text)], self.dtype)
        except ValueError:  # a run of white space that tiktoken's expressions find too long, for one
            return self._reference([text])[0]

    def _reference(self, texts: Sequence[str]) -> list[Ids]:
        pieces = ((number, piece) for number, text in enumerate(texts) for piece in self._pieces(text))
        found: list[list[Ids]] = [[] for _ in texts]
        for batch in _batches(pieces):
            # `encode_batch_fast` keeps no offsets: 1.03M tokens took 1.75 s of processor time, 2.43 s with `encode`.
            encodings = self._tokenizer.encode_batch_fast([piece for _, piece in batch], add_special_tokens=False)
            for (number, _), encoding in zip(batch, encodings, strict=True):
                found[number].append(np.array(encoding.ids, dtype=self.dtype))
        return [_joined(ids, self.dtype) for ids in found]

    def _pieces(self, text: str) -> Iterator[str]:
        return split_long(text) if self._cuts else iter([text])

    def check(self, texts: Sequence[str], found: Sequence[Ids], utf8_bytes: NDArray[np.int64]) -> None:
        """See that the ids of each text stand for as many bytes as it has, or where ids have no bytes, for it.

        Raises:
            ContractError: they do not.
        """
        if self.token_bytes is None:
            for text, ids in zip(texts, found, strict=True):
                if self.decode(ids) != text.encode("utf-8"):
                    raise ContractError(
                        f"the ids of the text that begins {text[:40]!r} decode to another text; this tokenizer loses "
                        "text: make another one"
                    )
            return
        sizes = np.array([len(ids) for ids in found], dtype=np.int64)
        filled = np.flatnonzero(sizes)
        stored = np.zeros(len(sizes), dtype=np.int64)
        if len(filled):
            starts = np.cumsum(sizes[filled]) - sizes[filled]
            stored[filled] = np.add.reduceat(self._lengths.take(np.concatenate(found)), starts, dtype=np.int64)
        wrong = np.flatnonzero(stored != utf8_bytes)
        if len(wrong):
            first = int(wrong[0])
            raise ContractError(
                f"the ids of a text of {utf8_bytes[first]} bytes, which begins {texts[first][:40]!r}, stand for "
                f"{stored[first]} bytes; this tokenizer loses text: make another one"
            )

    def decode(self, ids: Ids) -> bytes:
        """The bytes that the ids stand for; nothing for special ids."""
        tokens = self.token_bytes
        if tokens is None:
            return str(self._tokenizer.decode(ids.tolist(), skip_special_tokens=True)).encode("utf-8")
        return b"".join([tokens[number] for number in ids.tolist()])
