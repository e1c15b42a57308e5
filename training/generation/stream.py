"""Generating token by token, with a key-value cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from tokenizers import Tokenizer

from schemas.configs.generate import GenerateConfig
from training.generation.sampling import next_token
from training.generation.tokens import decode
from training.model.cache import KeyValueCache
from training.model.gpt import GPT

__all__ = ["before_stop", "generate_ids", "stream_text"]


def generate_ids(model: GPT, prompt: Sequence[int], config: GenerateConfig, end_of_text: int) -> Iterator[int]:
    """Yield new tokens until end-of-text, which is not yielded, or `max_tokens`.

    A prompt longer than the context keeps its end. When the context is full, its last half becomes the beginning of a
    new one: positions are learned, so what was computed for the old positions cannot be used again.

    Args:
        model: in eval mode.
        prompt: at least one id.
        config: how to draw.
        end_of_text: ends the text.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(config.seed)
    context = model.config.context
    seen = list(prompt)[-context:]
    cache, pending = KeyValueCache(model.config), seen
    for _ in range(config.max_tokens):
        if cache.length + len(pending) > context:
            pending = seen = seen[-(context // 2) :]
            cache = KeyValueCache(model.config)
        with torch.no_grad():  # tensors of inference mode could not be reused by a sharded model that goes on training
            logits_V = model(torch.tensor([pending], device=device), cache)[0, -1]
        token = next_token(logits_V, config, generator)
        if token == end_of_text:
            return
        yield token
        seen.append(token)
        pending = [token]


def before_stop(text: str, stop: Sequence[str]) -> str | None:
    """What stands before the first stop text; None where there is none."""
    places = [place for one in stop if (place := text.find(one)) >= 0]
    return text[: min(places)] if places else None


def _held_back(text: str, stop: Sequence[str]) -> int:
    """Characters at the end that may yet become a stop text, or a character whose bytes are not all there."""
    held = len(text) - len(text.rstrip("\ufffd"))
    for one in stop:
        for length in range(min(len(one) - 1, len(text)), held, -1):
            if text.endswith(one[:length]):
                held = length
                break
    return held


def stream_text(ids: Iterator[int], tokenizer: Tokenizer, stop: Sequence[str]) -> Iterator[str]:
    """Turn ids into pieces of text as they come, up to the first stop text; the pieces joined are the whole text."""
    seen: list[int] = []
    given, text = 0, ""
    for token in ids:
        seen.append(token)
        text = decode(tokenizer, seen)
        ended = before_stop(text, stop)
        if ended is not None:
            text = ended
            break
        safe = len(text) - _held_back(text, stop)
        if safe > given:
            yield text[given:safe]
            given = safe
    if len(text) > given:
        yield text[given:]
