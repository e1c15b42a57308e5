"""Whole texts for many prompts: drawn in batches, each by a seed of its own, or found by beam search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from schemas.configs.generate import GenerateConfig
from training.checkpoints import LoadedModel
from training.evaluation.token_scores import in_batches, rows_at_once
from training.generation.batch import answer_batch
from training.generation.beam import beam_search
from training.generation.sampling import next_token
from training.generation.stream import before_stop, generate_ids
from training.generation.tokens import decode, encode
from training.seeds import derived_seed

__all__ = ["Text", "start_of", "write_texts"]

# Prompts of so many batches are sorted by length together; texts come in the order of prompts after each.
_BATCHES = 8


@dataclass(frozen=True)
class Text:
    """What was written after a prompt, up to the first stop text; `tokens` were generated for it."""

    text: str
    prompt_tokens: int
    tokens: int


def start_of(loaded: LoadedModel, prompt: str) -> list[int]:
    """The ids of a prompt, behind end-of-text: a model has seen it before every document."""
    return [loaded.end_of_text, *encode(loaded.tokenizer, prompt)]


@dataclass(frozen=True)
class _Writer:
    """A model with the settings that it writes by."""

    loaded: LoadedModel
    config: GenerateConfig

    def is_stopped(self, ids: list[int]) -> bool:
        """Whether a stop text has ended the text of these ids."""
        stop = self.config.stop
        return bool(stop) and before_stop(decode(self.loaded.tokenizer, ids), stop) is not None

    def search(self, start: Sequence[int]) -> list[int]:
        """The ids that beam search finds; a prompt that leaves no room keeps its end."""
        context = self.loaded.model_config.context
        room = min(self.config.max_tokens, context // 2)
        return beam_search(
            self.loaded.model,
            start[-(context - room) :],
            beams=self.config.beams,
            length_penalty=self.config.length_penalty,
            max_tokens=room,
            end_of_text=self.loaded.end_of_text,
            finished=self.is_stopped,
        )

    def draw(self, number: int, start: Sequence[int]) -> list[int]:
        """The ids of one text, which may go beyond the context."""
        config = self.config.model_copy(update={"seed": derived_seed("prompt", self.config.seed, number)})
        ids: list[int] = []
        for token in generate_ids(self.loaded.model, start, config, self.loaded.end_of_text):
            ids.append(token)
            if self.is_stopped(ids):
                break
        return ids

    def draw_together(self, numbers: Sequence[int], starts: Sequence[Sequence[int]]) -> list[list[int]]:
        """What `draw` gives for each, in one batch; all fit in the context."""
        seeds = [derived_seed("prompt", self.config.seed, number) for number in numbers]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]

        def draw(row: int, logits_V: Tensor) -> int:
            return next_token(logits_V, self.config, generators[row])

        return answer_batch(
            self.loaded.model,
            starts,
            self.config.max_tokens,
            self.loaded.end_of_text,
            lambda _row, ids: self.is_stopped(ids),
            draw if self.config.temperature else None,
        )

    def write(self, numbers: Sequence[int], starts: Sequence[Sequence[int]]) -> dict[int, list[int]]:
        """The ids for prompts of these numbers."""
        if self.config.beams > 1:
            return {number: self.search(start) for number, start in zip(numbers, starts, strict=True)}
        room = self.loaded.model_config.context - self.config.max_tokens
        long = [place for place, start in enumerate(starts) if len(start) > room]
        short = [place for place, start in enumerate(starts) if len(start) <= room]
        found = {numbers[place]: self.draw(numbers[place], starts[place]) for place in long}
        batch = rows_at_once(self.loaded.model, self.config.batch)
        for indices in in_batches([len(starts[place]) for place in short], batch):
            places = [short[index] for index in indices]
            together = [numbers[place] for place in places]
            answers = self.draw_together(together, [starts[place] for place in places])
            found.update(zip(together, answers, strict=True))
        return found


def write_texts(loaded: LoadedModel, prompts: Sequence[str], config: GenerateConfig) -> Iterator[Text]:
    """One text for each prompt, in their order.

    The text of prompt n is drawn from the seed and n, so that it depends neither on the other prompts nor on the batch
    (but for the rounding of matrix products).
    """
    writer = _Writer(loaded, config)
    at_once = config.batch * _BATCHES
    for first in range(0, len(prompts), at_once):
        starts = [start_of(loaded, prompt) for prompt in prompts[first : first + at_once]]
        numbers = range(first, first + len(starts))
        found = writer.write(numbers, starts)
        for number, start in zip(numbers, starts, strict=True):
            text = decode(loaded.tokenizer, found[number])
            ended = before_stop(text, config.stop)
            yield Text(text if ended is None else ended, len(start), len(found[number]))
