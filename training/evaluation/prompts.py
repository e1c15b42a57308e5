"""K-shot prompts: examples, then the item (Brown et al. 2020, section 2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from schemas.identity import length_prefixed, stable_fraction
from schemas.tasks import GenerationItem, MultipleChoiceItem, TaskSpec
from training.generation.tokens import encode

__all__ = ["Prompt", "build_prompt", "draw_examples", "encode_answer"]

Item = MultipleChoiceItem | GenerationItem


def draw_examples(item: Item, examples: Sequence[Item], shots: int, seed: int) -> list[Item]:
    """The examples of one item, by a draw from the ids of both, so that no order of rows enters.

    Those for fewer shots are the first of those for more; an example with the item's own query is never drawn.
    """

    def rank(example: Item) -> float:
        identity = length_prefixed(item.id.encode("utf-8"), example.id.encode("utf-8"))
        return stable_fraction(identity, seed, "few-shot example")

    return sorted((e for e in examples if e.query != item.query), key=rank)[:shots] if shots else []


@dataclass(frozen=True)
class Prompt:
    """A prompt as text and as ids; `tail` is the white space at its end, which goes to the answer's first token."""

    text: str
    ids: list[int]
    tail: str


def build_prompt(item: Item, examples: Sequence[Item], spec: TaskSpec, tokenizer: Tokenizer) -> Prompt:
    """Examples with their answers, then the item without its own."""
    shown = [f"{example.query}{spec.delimiter}{example.solution}" for example in examples]
    text = spec.separator.join([*shown, item.query])
    body = text.rstrip()
    return Prompt(text, encode(tokenizer, body), text[len(body) :])


def encode_answer(prompt: Prompt, answer: str, spec: TaskSpec, tokenizer: Tokenizer) -> list[int]:
    """The ids of an answer after its prompt.

    Prompt and answer are encoded apart, so that the ids of an answer never depend on its prompt; white space at the
    end of the prompt is encoded with the answer, as byte-level BPE keeps a space with the word after it.
    """
    return encode(tokenizer, f"{prompt.tail}{spec.delimiter}{answer}")
