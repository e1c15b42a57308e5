"""Learning a byte-level BPE vocabulary, and what is said about it afterwards.

The vocabulary is a function of how often each word occurs in the sample: ties go by the ids of a pair, so neither the
order of the texts nor the number of threads enters (tested).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from pipelines.tokens.byte_level import byte_alphabet, split_long
from pipelines.tokens.encoding import END_OF_TEXT, TextEncoder

__all__ = ["Fertility", "fertility", "longest_tokens", "train_tokenizer"]


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> bytes:
    """The content of a `tokenizer.json` learned from `texts`: 256 bytes, merges, and the end-of-text id as the last.

    Byte-level BPE with GPT-2's pre-tokenization (Radford et al. 2019, section 2.2). A pair that occurs once is never
    merged, so few texts give a smaller vocabulary.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - 1,
        min_frequency=2,
        initial_alphabet=sorted(byte_alphabet()),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator((piece for text in texts for piece in split_long(text)), trainer)
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    return str(tokenizer.to_str(pretty=False)).encode("utf-8")


class Fertility(NamedTuple):
    """How a tokenizer cuts the texts of one source; words are what white space separates."""

    source: str
    documents: int
    words: int
    tokens: int
    utf8_bytes: int

    def row(self) -> dict[str, str | int | float]:
        """The counts with tokens per word and bytes per token, for the report."""
        return {
            **self._asdict(),
            "tokens_per_word": round(self.tokens / max(1, self.words), 4),
            "bytes_per_token": round(self.utf8_bytes / max(1, self.tokens), 4),
        }


def fertility(encoder: TextEncoder, source: str, texts: Iterable[str]) -> Fertility:
    """Measure the texts of one source."""
    documents = words = tokens = utf8_bytes = 0
    for text in texts:
        (ids,) = encoder.encode([text])
        documents += 1
        words += len(text.split())
        tokens += len(ids)
        utf8_bytes += len(text.encode("utf-8"))
    return Fertility(source, documents, words, tokens, utf8_bytes)


def longest_tokens(encoder: TextEncoder, number: int) -> Iterator[str]:
    """The longest tokens of the vocabulary as text, longest first: junk in the corpus shows here first."""
    for token in sorted(encoder.token_bytes or [], key=lambda one: (-len(one), one))[:number]:
        yield token.decode("utf-8", errors="replace")
