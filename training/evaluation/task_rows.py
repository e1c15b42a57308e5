"""A task with its items and examples, read; and its items' prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from schemas.tasks import GenerationItem, MultipleChoiceItem, TaskSpec, TextItem, read_rows
from training.checkpoints import LoadedModel
from training.evaluation.answers import exact_match, extracted, token_f1
from training.evaluation.prompts import Item, Prompt, build_prompt, examples_of_all, fitting_prompt

__all__ = ["TaskRows", "chance", "read_task"]


@dataclass(frozen=True, kw_only=True)
class TaskRows:
    """See the module's text; texts for perplexity stand by themselves."""

    spec: TaskSpec
    items: Sequence[Item] = ()
    examples: Sequence[Item] = ()
    texts: Sequence[TextItem] = ()
    seed: int

    def drawn(self, shots: int) -> list[list[Item]]:
        """The examples of each item."""
        return examples_of_all(self.items, self.examples, shots, self.spec, self.seed)

    def prompt(
        self, item: Item, examples: Sequence[Item], loaded: LoadedModel, room: int, query: str | None = None
    ) -> Prompt:
        """The prompt of an item; where the task says so, with as many examples as leave it within `room` ids."""
        build = partial(build_prompt, item, spec=self.spec, tokenizer=loaded.tokenizer, query=query)
        return fitting_prompt(build, examples, room) if self.spec.fit else build(examples)


def read_task(spec: TaskSpec, limit: int | None, seed: int) -> TaskRows:
    """Read the rows of a task.

    Args:
        spec: the task, with items.
        limit: items at most, the first ones; examples come from all rows.
        seed: of the draws of examples.

    Raises:
        InputError: a file cannot be read, or a row does not fit; file and line are named.
    """
    items_url = spec.items or ""
    if spec.kind == "perplexity":
        return TaskRows(spec=spec, texts=read_rows(items_url, TextItem, spec.template)[:limit], seed=seed)
    items: Sequence[Item]
    examples: Sequence[Item] = ()
    if spec.kind == "multiple_choice":
        items = read_rows(items_url, MultipleChoiceItem, spec.template)
        if spec.examples is not None and spec.examples != spec.items:
            examples = read_rows(spec.examples, MultipleChoiceItem, spec.template)
    else:
        items = read_rows(items_url, GenerationItem, spec.template)
        if spec.examples is not None and spec.examples != spec.items:
            examples = read_rows(spec.examples, GenerationItem, spec.template)
    if spec.examples == spec.items:
        examples = items
    return TaskRows(spec=spec, items=items[:limit], examples=examples, seed=seed)


def chance(rows: TaskRows) -> float | None:
    """The score without looking at the items: a blind choice, or always the commonest answer of the examples.

    Where items are each other's examples, their own commonest answer; for a text there is no such score.
    """
    spec = rows.spec
    choices = [len(item.choices) for item in rows.items if isinstance(item, MultipleChoiceItem)]
    if choices:
        return sum(1 / count for count in choices) / len(choices)
    items = [item for item in rows.items if isinstance(item, GenerationItem)]
    if not items:
        return None
    counts = Counter(extracted(example.solution, spec.extract) for example in rows.examples)
    constant = counts.most_common(1)[0][0] if counts else ""
    if spec.kind == "cloze":
        return sum(item.solution == constant for item in items) / len(items)
    compare = token_f1 if spec.main_metric == "token_f1" else exact_match
    right = ([extracted(one, spec.extract) for one in item.answers] for item in items)
    return sum(compare(constant, one, spec.compare) for one in right) / len(items)
