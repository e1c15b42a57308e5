"""K-shot prompts: examples, then the item (Brown et al. 2020, section 2.4)."""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from schemas.identity import length_prefixed, stable_fraction
from schemas.tasks import GenerationItem, MultipleChoiceItem, TaskSpec
from training.generation.tokens import encode

__all__ = ["Item", "Prompt", "build_prompt", "draw_examples", "encode_answer", "examples_of_all", "fitting_prompt"]

Item = MultipleChoiceItem | GenerationItem

# lm-evaluation-harness draws examples with this seed where none is given.
_HARNESS_SEED = 1234


def draw_examples(item: Item, examples: Sequence[Item], shots: int, seed: int) -> list[Item]:
    """The examples of one item, by a draw from the ids of both, so that no order of rows enters.

    Those for fewer shots are the first of those for more; an example with the item's own query is never drawn.
    """

    def rank(example: Item) -> float:
        identity = length_prefixed(item.id.encode("utf-8"), example.id.encode("utf-8"))
        return stable_fraction(identity, seed, "few-shot example")

    return sorted((e for e in examples if e.query != item.query), key=rank)[:shots] if shots else []


def _in_sequence(
    items: Sequence[Item], examples: Sequence[Item], shots: int, spec: TaskSpec, seed: int
) -> list[list[Item]]:
    """One generator draws for all items in their order; from the items themselves one more, for an item's own."""
    generator = random.Random(_HARNESS_SEED + seed)  # noqa: S311 - examples, not secrets
    among_themselves, pool = spec.examples == spec.items, list(examples)
    drawn = []
    for item in items:
        others = generator.sample(pool, min(len(pool), shots + among_themselves))
        if among_themselves:
            others = [one for one in others if not _is_same(one, item)]
            if len(others) < shots:  # rows that repeat the item went too
                rest = [one for one in pool if not _is_same(one, item)]
                others = generator.sample(rest, min(len(rest), shots))
        drawn.append(others[:shots])
    return drawn


def _is_same(one: Item, other: Item) -> bool:
    return one.model_copy(update={"id": other.id}) == other


def examples_of_all(
    items: Sequence[Item], examples: Sequence[Item], shots: int, spec: TaskSpec, seed: int
) -> list[list[Item]]:
    """The examples of each item, as the task draws them."""
    if not shots:
        return [[] for _ in items]
    if spec.draw == "lm-eval":
        return _in_sequence(items, examples, shots, spec, seed)
    if spec.draw == "first":
        return [[one for one in examples[: shots + 1] if one.query != item.query][:shots] for item in items]
    return [draw_examples(item, examples, shots, seed) for item in items]


@dataclass(frozen=True)
class Prompt:
    """A prompt as text and as ids.

    Attributes:
        text: all of it.
        ids: of the text without the white space at its end.
        tail: that white space, which goes to the answer's first token.
        shown: ids of the items that stand in it as examples.
    """

    text: str
    ids: list[int]
    tail: str
    shown: tuple[str, ...] = ()


def build_prompt(
    item: Item, examples: Sequence[Item], spec: TaskSpec, tokenizer: Tokenizer, query: str | None = None
) -> Prompt:
    """Examples with their answers, then the item without its own; `query` in place of what the item asks."""
    shown = [f"{example.query}{spec.delimiter}{example.solution}" for example in examples]
    text = spec.description + spec.separator.join([*shown, item.query if query is None else query])
    body = text.rstrip()
    return Prompt(text, encode(tokenizer, body), text[len(body) :], tuple(one.id for one in examples))


def fitting_prompt(build: Callable[[Sequence[Item]], Prompt], examples: Sequence[Item], room: int) -> Prompt:
    """The prompt with as many of the examples, the first ones, as leave its ids within `room`."""
    whole = build(examples)
    if len(whole.ids) <= room or not examples:
        return whole
    too_many = bisect.bisect_right(range(len(examples)), room, key=lambda shots: len(build(examples[:shots]).ids))
    return build(examples[: max(0, too_many - 1)])


def encode_answer(prompt: Prompt, answer: str, spec: TaskSpec, tokenizer: Tokenizer) -> list[int]:
    """The ids of an answer after its prompt.

    Prompt and answer are encoded apart, so that the ids of an answer never depend on its prompt; white space at the
    end of the prompt is encoded with the answer, as byte-level BPE keeps a space with the word after it.
    """
    return encode(tokenizer, f"{prompt.tail}{spec.delimiter}{answer}")
