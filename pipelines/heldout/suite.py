"""From pools of pieces to the tasks of a suite.

Prompts of few-shot tasks have no labels: a pair stands as it would in a text, and what is wanted only examples make
clear. A task with few items says little and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.heldout.items import choice_items, generation_items, order_items, rewrite_items
from pipelines.heldout.pools import Pools
from pipelines.heldout.selection import Piece, choose
from schemas.tasks import GenerationItem, MultipleChoiceItem, TaskSpec

__all__ = ["Task", "build_tasks"]

# A word ends where white space or punctuation begins.
_WORD_STOPS = (" ", "\n", ".", ",", ";", ":", "!", "?", ")")
_WORD_TOKENS = 8
# Characters of an answer that a token stands for at least, on average: 80 characters need at most 26 tokens or so.
_CHARACTERS_PER_TOKEN = 3
# What stands between a pair's prompt and answer, and between two pairs. Summaries are for fine-tuning alone: under any
# number of shots the demo's model wrote them with a token F1 of 0.01.
_FORMATS = {"signature": ("", "\n"), "opening": ("\n", "\n\n"), "ending": (" ", "\n")}

Items = Sequence[GenerationItem] | Sequence[MultipleChoiceItem]


@dataclass(frozen=True)
class Task:
    """A task with its rows; where they lie is for the writer to say."""

    spec: TaskSpec
    items: Items = ()
    examples: Items = ()


def _task(name: str, items: Items, examples: Items, shots: Sequence[int], **settings: Any) -> Task:
    possible = tuple(sorted({number for number in shots if number <= len(examples)})) or (0,)
    paths: dict[str, Any] = {"items": f"{name}.jsonl", "examples": f"{name}-examples.jsonl" if examples else None}
    return Task(TaskSpec(name=name, shots=possible, **paths, **settings), items, examples)


def _cut_tasks(pools: Pools, test: list[Piece], train: list[Piece]) -> list[Task]:
    """Choosing what follows a passage, among other texts and among orders of its own words."""
    config = pools.config
    chosen = test[: config.items]
    following = choice_items(chosen, [test, train], config.choices, config.seed)
    orders = order_items(chosen, config.choices, config.seed)
    # The prompt ends with the white space that stood there.
    settings: dict[str, Any] = {"kind": "multiple_choice", "delimiter": ""}
    return [
        _task("continuation", following, (), (0,), **settings),
        _task("word-order", orders, (), (0,), **settings),
    ]


def _word_tasks(pools: Pools, test: list[Piece], train: list[Piece]) -> list[Task]:
    config = pools.config
    examples = choose(train, config.examples, config.seed, "examples")
    settings: dict[str, Any] = {
        "kind": "generation",
        "separator": "\n",
        "stop": _WORD_STOPS,
        "max_tokens": _WORD_TOKENS,
    }
    items = generation_items(test[: config.items])
    return [_task("last-word", items, generation_items(examples), config.shots, **settings)]


def _rewrite_tasks(pools: Pools, test: list[Piece], train: list[Piece]) -> list[Task]:
    """Choosing how to write a phrase again: that capitals are wanted only examples make clear."""
    config = pools.config
    examples = rewrite_items(choose(train, config.examples, config.seed, "examples"), config.seed)
    settings: dict[str, Any] = {"kind": "multiple_choice", "delimiter": " = ", "separator": "\n"}
    items = rewrite_items(test[: config.items], config.seed)
    return [_task("rewrite", items, examples, config.shots, **settings)]


def _pair_tasks(pools: Pools, kind: str, test: list[Piece], train: list[Piece]) -> list[Task]:
    """Writing the answer to a prompt."""
    config = pools.config
    chosen = test[: config.items]
    examples = choose(train, config.examples, config.seed, "examples")
    delimiter, separator = _FORMATS[kind]
    settings: dict[str, Any] = {"delimiter": delimiter, "separator": separator}
    generation = {
        "kind": "generation",
        "metric": "token_f1",
        "max_tokens": max(4, config.answer_characters // _CHARACTERS_PER_TOKEN),
    }
    return [_task(kind, generation_items(chosen), generation_items(examples), config.shots, **settings, **generation)]


def build_tasks(pools: Pools) -> tuple[list[Task], list[str]]:
    """The tasks of the suite, perplexity of the test split first, and what to tell about those left out."""

    def pieces(kind: str) -> tuple[list[Piece], list[Piece]]:
        return pools.pieces("test", [kind]), pools.pieces("train", [kind])

    tasks = _cut_tasks(pools, *pieces("continuation"))
    tasks += _word_tasks(pools, *pieces("last-word"))
    tasks += _rewrite_tasks(pools, *pieces("rewrite"))
    for kind in _FORMATS:
        tasks += _pair_tasks(pools, kind, *pieces(kind))
    least = pools.config.least_items
    notes = [
        f"task {task.spec.name} is left out: {len(task.items)} items, fewer than {least}"
        for task in tasks
        if 0 < len(task.items) < least
    ]
    perplexity = Task(TaskSpec(name="perplexity", kind="perplexity"))
    return [perplexity, *(task for task in tasks if len(task.items) >= least)], notes
