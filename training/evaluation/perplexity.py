"""Perplexity and bits per byte of a split.

The split is scored as the model reads it in training: the documents of a source one after another, each ended by the
end-of-text id, which is scored like any other token; the first token follows an end-of-text id. Windows are disjoint
and each token is scored once. A window begins with the token before its first scored one; the last window is filled
with earlier tokens, so that its tokens have as much context as others. Bits per byte divide by the UTF-8 bytes of the
texts, which end-of-text adds none to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from schemas.mixture import SourceStream
from training.data.shards import TokenStream
from training.evaluation.statistics import estimate_mean
from training.evaluation.token_scores import rows_at_once, token_losses
from training.model.gpt import GPT

__all__ = ["SplitLoss", "Window", "combine", "score_stream", "windows"]


class Window(NamedTuple):
    """Tokens `first` to `stop` of a stream, of which the last `scored` are scored; -1 is the end-of-text before it."""

    first: int
    stop: int
    scored: int


class SplitLoss(BaseModel):
    """Loss over the tokens of one source, or of a whole split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(description="'all' for the whole split")
    tokens: int = Field(description="scored, end-of-text ids included")
    split_tokens: int = Field(description="all tokens of the split")
    utf8_bytes: int = Field(description="of the texts of the whole split")
    windows: int
    nats: float = Field(description="summed over the scored tokens")
    nats_standard_error: float | None = Field(description="of the sum; windows are taken as independent")

    @property
    def loss(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """Per token."""
        return math.exp(self.loss)

    def per_byte(self, nats: float) -> float:
        """Bits per UTF-8 byte for a sum of nats over the scored tokens.

        Exact where every token was scored, else by the bytes per token of the whole split.
        """
        return nats / math.log(2) / self.tokens * self.split_tokens / self.utf8_bytes


def windows(tokens: int, context: int, given: int = 1) -> Iterator[Window]:
    """Windows over a stream, every token scored once; see the module's text.

    Args:
        tokens: of the stream.
        context: of the model.
        given: tokens before its first scored one that each window but the first has at least.
    """
    start = 0
    while start < tokens:
        stop = min(start + context if start == 0 else start + context - given + 1, tokens)
        yield Window(max(-1, stop - context - 1), stop, stop - start)
        start = stop


def _read(stream: TokenStream, window: Window, end_of_text: int) -> list[int]:
    out = np.empty(window.stop - max(0, window.first), dtype=np.int64)
    stream.read(max(0, window.first), out)
    ids: list[int] = out.tolist()
    return [end_of_text, *ids] if window.first < 0 else ids


def score_stream(
    model: GPT, stream: TokenStream, facts: SourceStream, end_of_text: int, batch: int, limit: int | None
) -> SplitLoss:
    """Score the tokens of one source.

    Args:
        model: in eval mode.
        stream: the tokens.
        facts: what the mixture plan says about the stream; it has at least one token.
        end_of_text: stands before the first token.
        batch: windows of one forward pass at most.
        limit: score so many windows, spread evenly over the stream, instead of all.
    """
    chosen = list(windows(stream.tokens, model.config.context))
    if limit is not None and limit < len(chosen):
        chosen = [chosen[index * len(chosen) // limit] for index in range(limit)]
    nats: list[float] = []
    batch = rows_at_once(model, batch)
    for start in range(0, len(chosen), batch):
        part = chosen[start : start + batch]
        rows = [_read(stream, window, end_of_text) for window in part]
        losses = token_losses(model, rows, [window.scored for window in part])
        nats += [float(loss_N.double().sum()) for loss_N in losses]
    # The sum's error from the spread of windows around the loss their length lets expect.
    total, tokens = math.fsum(nats), sum(window.scored for window in chosen)
    surplus = [value - total / tokens * window.scored for value, window in zip(nats, chosen, strict=True)]
    error = estimate_mean(surplus).standard_error
    return SplitLoss(
        source=facts.source,
        tokens=tokens,
        split_tokens=stream.tokens,
        utf8_bytes=facts.utf8_bytes,
        windows=len(chosen),
        nats=total,
        nats_standard_error=None if error is None else error * len(chosen),
    )


def combine(parts: list[SplitLoss]) -> SplitLoss:
    """The whole split from its sources; there is at least one."""
    errors = [part.nats_standard_error for part in parts if part.nats_standard_error is not None]
    return SplitLoss(
        source="all",
        tokens=sum(part.tokens for part in parts),
        split_tokens=sum(part.split_tokens for part in parts),
        utf8_bytes=sum(part.utf8_bytes for part in parts),
        windows=sum(part.windows for part in parts),
        nats=math.fsum(part.nats for part in parts),
        nats_standard_error=math.sqrt(math.fsum(e**2 for e in errors)) if len(errors) == len(parts) else None,
    )
