"""Multiple choice and cloze: answers that are given, compared by how likely they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from schemas.tasks import GenerationItem, MultipleChoiceItem, Normalization, TaskSpec
from training.checkpoints import LoadedModel
from training.evaluation.likelihood import AnswerScore, best_choice, score_answers
from training.evaluation.prompts import Prompt, encode_answer
from training.evaluation.results import ItemRecord
from training.evaluation.steps import Steps
from training.evaluation.task_rows import TaskRows
from training.generation.tokens import encode

__all__ = ["NORMALIZATIONS", "score_choices", "score_cloze"]

NORMALIZATIONS: tuple[Normalization, ...] = ("sum", "token", "character", "byte", "unconditional")

Asked = tuple[list[int], list[list[int]]]


def _normalized(
    scores: Sequence[AnswerScore], alone: Sequence[AnswerScore], choices: Sequence[str]
) -> dict[Normalization, list[float]]:
    """What choices are compared by, under each convention.

    Sum, per token and unconditional are GPT-3's (Brown et al. 2020, section 2.4); per character is
    lm-evaluation-harness's `acc_norm`, whose choices count without what stands before them, and per byte the same of
    UTF-8.
    """
    return {
        "sum": [one.nats for one in scores],
        "token": [one.nats / one.tokens for one in scores],
        "character": [one.nats / len(text) for one, text in zip(scores, choices, strict=True)],
        "byte": [one.nats / len(text.encode("utf-8")) for one, text in zip(scores, choices, strict=True)],
        "unconditional": [one.nats - base.nats for one, base in zip(scores, alone, strict=True)],
    }


def _choice_prompts(
    rows: TaskRows, item: MultipleChoiceItem, examples: Sequence[MultipleChoiceItem], loaded: LoadedModel
) -> list[tuple[Prompt, list[list[int]]]]:
    """The prompt with all choices after it, or of each choice its own prompt."""
    delimiter = rows.spec.delimiter
    longest = max(len(encode(loaded.tokenizer, f"{delimiter}{choice}")) for choice in item.choices)
    room = loaded.model_config.context - longest - 1  # for end-of-text, and white space that ends the prompt
    if not item.contexts:
        prompt = rows.prompt(item, examples, loaded, room)
        return [(prompt, [encode_answer(prompt, one, rows.spec, loaded.tokenizer) for one in item.choices])]
    prompts = (rows.prompt(item, examples, loaded, room, query=context) for context in item.contexts)
    return [
        (prompt, [encode_answer(prompt, choice, rows.spec, loaded.tokenizer)])
        for prompt, choice in zip(prompts, item.choices, strict=True)
    ]


def score_choices(loaded: LoadedModel, rows: TaskRows, shots: int, batch: int) -> Steps[list[ItemRecord]]:
    """Choose the likeliest answer of each item, under every convention; `accuracy` is by the task's own."""
    spec, items = rows.spec, [item for item in rows.items if isinstance(item, MultipleChoiceItem)]
    prepared = [
        _choice_prompts(rows, item, [one for one in drawn if isinstance(one, MultipleChoiceItem)], loaded)
        for item, drawn in zip(items, rows.drawn(shots), strict=True)
    ]
    asked = [[(prompt.ids, answers) for prompt, answers in of_item] for of_item in prepared]
    flat = [one for of_item in asked for one in of_item]
    # Without the question, all choices of an item stand after the same few words; beginnings of one ending differ in
    # nothing then.
    before = encode(loaded.tokenizer, spec.answer_context)
    alone_asked: list[Asked] = [(before, [answer for _, answers in of_item for answer in answers]) for of_item in asked]
    found = yield from score_answers(loaded.model, [*flat, *alone_asked], loaded.end_of_text, batch)
    alone = found[len(flat) :]
    records, start = [], 0
    for item, of_item, without in zip(items, prepared, alone, strict=True):
        scores = [one for group in found[start : start + len(of_item)] for one in group]
        start += len(of_item)
        records.append(_choice_record(spec, shots, item, of_item[0][0], scores, without))
    return records


def _choice_record(
    spec: TaskSpec,
    shots: int,
    item: MultipleChoiceItem,
    prompt: Prompt,
    scores: Sequence[AnswerScore],
    alone: Sequence[AnswerScore],
) -> ItemRecord:
    by_norm = _normalized(scores, alone, item.choices)
    chosen = {norm: best_choice(by_norm[norm]) for norm in NORMALIZATIONS}
    right = {f"accuracy_{norm}": float(chosen[norm] == item.answer) for norm in NORMALIZATIONS}
    return ItemRecord(
        task=spec.name,
        shots=shots,
        id=item.id,
        group=item.group,
        truncated=any(one.cut for one in scores),
        metrics={"accuracy": right[f"accuracy_{spec.normalization}"], **right},
        prompt=prompt.text,
        examples=list(prompt.shown),
        detail={
            "choices": list(item.contexts or item.choices),
            "answer": item.answer,
            "chosen": chosen[spec.normalization],
            "log_likelihood": by_norm,
        },
    )


def score_cloze(loaded: LoadedModel, rows: TaskRows, shots: int, batch: int) -> Steps[list[ItemRecord]]:
    """Whether the model's likeliest tokens are those of the missing word, and how likely it finds the word.

    `accuracy` wants all tokens of the word; of its last token alone is what GPT-2's numbers on LAMBADA are
    (Radford et al. 2019, section 3.3).
    """
    spec, items = rows.spec, [item for item in rows.items if isinstance(item, GenerationItem)]
    prompts, asked = [], []
    for item, drawn in zip(items, rows.drawn(shots), strict=True):
        length = len(encode(loaded.tokenizer, f"{spec.delimiter}{item.solution}"))
        prompt = rows.prompt(item, drawn, loaded, loaded.model_config.context - length - 1)
        prompts.append(prompt)
        asked.append((prompt.ids, [encode_answer(prompt, item.solution, spec, loaded.tokenizer)]))
    found = yield from score_answers(loaded.model, asked, loaded.end_of_text, batch)
    return [
        ItemRecord(
            task=spec.name,
            shots=shots,
            id=item.id,
            group=item.group,
            truncated=one.cut,
            metrics={
                "accuracy": float(one.greedy),
                "accuracy_last_token": float(one.last_greedy),
                "log_likelihood": one.nats,
                "bits_per_byte": -one.nats / math.log(2) / len(item.solution.encode("utf-8")),
            },
            prompt=prompt.text,
            examples=list(prompt.shown),
            detail={"answers": list(item.answers)},
        )
        for item, prompt, (one,) in zip(items, prompts, found, strict=True)
    ]
