"""Learning a byte-level BPE vocabulary, and what is said about it afterwards.

The vocabulary is a function of how often each word occurs in the sample: ties go by the ids of a pair, so neither the
order of the texts nor the number of threads enters (tested).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tokenizers import AddedToken, Tokenizer, decoders, models, trainers

from pipelines.tokens.byte_level import byte_alphabet, split_long
from pipelines.tokens.encoding import END_OF_TEXT, TextEncoder
from pipelines.tokens.pretokenization import PATTERNS, ends_words_at_spaces, pre_tokenizer
from schemas.errors import ConfigError

__all__ = ["Fertility", "fertility", "longest_tokens", "train_tokenizer"]


def train_tokenizer(
    texts: Iterable[str],
    vocabulary_size: int,
    *,
    pattern: str = "gpt2",
    special_tokens: Sequence[str] = (END_OF_TEXT,),
) -> bytes:
    """The content of a `tokenizer.json` learned from `texts`: 256 bytes, merges, and the special tokens after them.

    Byte-level BPE (Radford et al. 2019, section 2.2). A pair that occurs once is never merged, so few texts give a
    smaller vocabulary.

    Args:
        texts: to learn from.
        vocabulary_size: ids at most.
        pattern: name or regular expression of the words, see `pretokenization`.
        special_tokens: in the order of their ids.

    Raises:
        ConfigError: the pattern cannot be read.
    """
    tokenizer = Tokenizer(models.BPE())
    try:
        tokenizer.pre_tokenizer = pre_tokenizer(pattern)
    except Exception as error:  # the library raises bare Exceptions
        raise ConfigError(
            f"tokenizer.pattern {pattern!r} is no regular expression: {error}; give one, or gpt2, cl100k or o200k"
        ) from error
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - len(special_tokens),
        min_frequency=2,
        initial_alphabet=sorted(byte_alphabet()),
        special_tokens=[],
        show_progress=False,
    )
    cuts = ends_words_at_spaces(PATTERNS.get(pattern))
    pieces = (piece for text in texts for piece in (split_long(text) if cuts else (text,)))
    tokenizer.train_from_iterator(pieces, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special_tokens])
    return str(tokenizer.to_str(pretty=False)).encode("utf-8")


class Fertility(NamedTuple):
    """How a tokenizer cuts the texts of one source; words are what white space separates."""

    source: str
    language: str | None  # None: of all languages together
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


def fertility(encoder: TextEncoder, source: str, texts: Iterable[str], language: str | None = None) -> Fertility:
    """Measure the texts of one source, or those of one language in it."""
    documents = words = tokens = utf8_bytes = 0
    for text in texts:
        (ids,) = encoder.encode([text])
        documents += 1
        words += len(text.split())
        tokens += len(ids)
        utf8_bytes += len(text.encode("utf-8"))
    return Fertility(source, language, documents, words, tokens, utf8_bytes)


def longest_tokens(encoder: TextEncoder, number: int) -> Iterator[str]:
    """The longest tokens of the vocabulary as text, longest first: junk in the corpus shows here first."""
    tokens = encoder.token_bytes or [token.encode("utf-8") for token in encoder.vocabulary()]
    for token in sorted(tokens, key=lambda one: (-len(one), one))[:number]:
        yield token.decode("utf-8", errors="replace")
