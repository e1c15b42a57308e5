"""Scoring the items of one task under one number of shots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from schemas.tasks import GenerationItem, MultipleChoiceItem, Normalization, TaskSpec
from training.checkpoints import LoadedModel
from training.evaluation.answers import exact_match, token_f1
from training.evaluation.likelihood import Request, best_choice, in_batches, log_likelihoods, rows_at_once
from training.evaluation.prompts import Prompt, build_prompt, draw_examples, encode_answer
from training.evaluation.results import ItemRecord
from training.generation.batch import answer_batch
from training.generation.stream import before_stop
from training.generation.tokens import decode

__all__ = ["TaskRows", "chance", "greedy_answers", "score_choices", "score_generation"]

NORMALIZATIONS: tuple[Normalization, ...] = ("sum", "token", "byte")


@dataclass(frozen=True, kw_only=True)
class TaskRows:
    """A task with its items and examples, read."""

    spec: TaskSpec
    items: Sequence[MultipleChoiceItem | GenerationItem]
    examples: Sequence[MultipleChoiceItem | GenerationItem]
    seed: int

    def prompts(self, shots: int, loaded: LoadedModel) -> list[Prompt]:
        """The prompt of each item."""
        return [
            build_prompt(item, draw_examples(item, self.examples, shots, self.seed), self.spec, loaded.tokenizer)
            for item in self.items
        ]


def score_choices(loaded: LoadedModel, rows: TaskRows, shots: int, batch: int) -> list[ItemRecord]:
    """Choose the likeliest answer of each item, by all three normalizations; `accuracy` is by the task's own."""
    prompts = rows.prompts(shots, loaded)
    items = [item for item in rows.items if isinstance(item, MultipleChoiceItem)]
    requests = [
        Request(prompt.ids, encode_answer(prompt, choice, rows.spec, loaded.tokenizer))
        for prompt, item in zip(prompts, items, strict=True)
        for choice in item.choices
    ]
    sums, cut = log_likelihoods(loaded.model, requests, loaded.end_of_text, batch)
    records, start = [], 0
    for item in items:
        here = slice(start, start + len(item.choices))
        start = here.stop
        by_norm = {
            "sum": sums[here],
            "token": [s / len(r.answer) for s, r in zip(sums[here], requests[here], strict=True)],
            "byte": [s / len(c.encode("utf-8")) for s, c in zip(sums[here], item.choices, strict=True)],
        }
        right = {f"accuracy_{norm}": float(best_choice(by_norm[norm]) == item.answer) for norm in NORMALIZATIONS}
        records.append(
            ItemRecord(
                task=rows.spec.name,
                shots=shots,
                id=item.id,
                group=item.group,
                truncated=any(cut[here]),
                metrics={"accuracy": right[f"accuracy_{rows.spec.normalization}"], **right},
                detail={"answer": item.answer, "log_likelihood": by_norm},
            )
        )
    return records


def greedy_answers(
    loaded: LoadedModel, prompts: Sequence[Prompt], delimiter: str, stop: Sequence[str], max_tokens: int, batch: int
) -> tuple[list[str], list[bool]]:
    """The answer to each prompt, up to a stop text, and whether its prompt was cut from the left to fit."""
    context = loaded.model_config.context
    max_tokens = min(max_tokens, context // 2)
    whole = [[loaded.end_of_text, *prompt.ids] for prompt in prompts]
    rows = [ids[-(context - max_tokens) :] for ids in whole]
    answers = [""] * len(rows)

    def written(index: int, ids: list[int]) -> tuple[str, bool]:
        """The answer so far, and whether a stop text ended it."""
        text = decode(loaded.tokenizer, ids).removeprefix(prompts[index].tail).removeprefix(delimiter)
        ended = before_stop(text, stop)
        return (text if ended is None else ended), ended is not None

    def is_answered(indices: Sequence[int], row: int, ids: list[int]) -> bool:
        return written(indices[row], ids)[1]

    for indices in in_batches([len(row) for row in rows], rows_at_once(loaded.model, batch)):
        found = answer_batch(
            loaded.model,
            [rows[index] for index in indices],
            max_tokens,
            loaded.end_of_text,
            partial(is_answered, indices),
        )
        for index, ids in zip(indices, found, strict=True):
            answers[index] = written(index, ids)[0].strip()
    return answers, [len(row) < len(ids) for row, ids in zip(rows, whole, strict=True)]


def score_generation(loaded: LoadedModel, rows: TaskRows, shots: int, batch: int) -> list[ItemRecord]:
    """Compare generated answers with right ones: exact match and token F1."""
    spec = rows.spec
    prompts = rows.prompts(shots, loaded)
    items = [item for item in rows.items if isinstance(item, GenerationItem)]
    answers, cut = greedy_answers(loaded, prompts, spec.delimiter, spec.stop, spec.max_tokens, batch)
    records = []
    for item, answer, truncated in zip(items, answers, cut, strict=True):
        records.append(
            ItemRecord(
                task=spec.name,
                shots=shots,
                id=item.id,
                group=item.group,
                truncated=truncated,
                metrics={"exact_match": exact_match(answer, item.answers), "token_f1": token_f1(answer, item.answers)},
                detail={"generated": answer, "answers": list(item.answers)},
            )
        )
    return records


def chance(rows: TaskRows) -> float:
    """The score without looking at the items: a blind choice, or always the commonest answer of the examples."""
    choices = [len(item.choices) for item in rows.items if isinstance(item, MultipleChoiceItem)]
    if choices:
        return sum(1 / count for count in choices) / len(choices)
    counts = Counter(example.solution for example in rows.examples)
    constant = counts.most_common(1)[0][0] if counts else ""
    compare = exact_match if rows.spec.main_metric == "exact_match" else token_f1
    scores = [compare(constant, item.answers) for item in rows.items if isinstance(item, GenerationItem)]
    return sum(scores) / len(scores)
