"""Generated answers: greedy or drawn, compared with right ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from schemas.configs.generate import GenerateConfig
from schemas.identity import length_prefixed, stable_fraction
from schemas.tasks import GenerationItem, TaskSpec
from training.checkpoints import LoadedModel
from training.evaluation.answers import exact_match, extracted, token_f1
from training.evaluation.prompts import Prompt
from training.evaluation.results import ItemRecord
from training.evaluation.steps import Steps, finish
from training.evaluation.task_rows import TaskRows
from training.evaluation.token_scores import in_batches, rows_at_once
from training.generation.batch import answer_batch
from training.generation.stream import before_stop, generate_ids
from training.generation.tokens import decode

__all__ = ["greedy_answers", "greedy_texts", "score_generation"]


def greedy_answers(
    loaded: LoadedModel, prompts: Sequence[Prompt], delimiter: str, stop: Sequence[str], max_tokens: int, batch: int
) -> tuple[list[str], list[bool]]:
    """The answer to each prompt, up to a stop text, and whether its prompt was cut from the left to fit."""
    answers, cut = finish(greedy_texts(loaded, prompts, delimiter, stop, max_tokens, batch))
    return [one.strip() for one in answers], cut


def greedy_texts(
    loaded: LoadedModel, prompts: Sequence[Prompt], delimiter: str, stop: Sequence[str], max_tokens: int, batch: int
) -> Steps[tuple[list[str], list[bool]]]:
    """What follows each prompt's delimiter, up to a stop text, and whether the prompt was cut from the left to fit."""
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
            answers[index] = written(index, ids)[0]
        yield
    return answers, [len(row) < len(ids) for row, ids in zip(rows, whole, strict=True)]


def _drawn_answer(loaded: LoadedModel, prompt: Prompt, spec: TaskSpec, identity: bytes, seed: int) -> tuple[str, bool]:
    """One answer by chance, which depends on nothing but the item, the number of the draw and the seed."""
    config = GenerateConfig(
        max_tokens=min(spec.max_tokens, loaded.model_config.context // 2),
        temperature=spec.temperature,
        top_k=None,
        top_p=spec.top_p,
        seed=int(stable_fraction(identity, seed, "drawn answer") * 2**53),
    )
    whole = [loaded.end_of_text, *prompt.ids]
    given = whole[-(loaded.model_config.context - config.max_tokens) :]
    ids, text, ended = [], "", None
    for token in generate_ids(loaded.model, given, config, loaded.end_of_text):
        ids.append(token)
        text = decode(loaded.tokenizer, ids).removeprefix(prompt.tail).removeprefix(spec.delimiter)
        ended = before_stop(text, spec.stop)
        if ended is not None:
            break
    return (text if ended is None else ended).strip(), len(given) < len(whole)


def _answers(
    loaded: LoadedModel, rows: TaskRows, prompts: Sequence[Prompt], batch: int
) -> Steps[tuple[list[list[str]], list[bool]]]:
    """The answers to each prompt, one or several, and whether the prompt was cut."""
    spec = rows.spec
    if not spec.temperature:
        greedy, cut = yield from greedy_texts(loaded, prompts, spec.delimiter, spec.stop, spec.max_tokens, batch)
        return [[one.strip()] for one in greedy], cut
    answers, cut = [], []
    for item, prompt in zip(rows.items, prompts, strict=True):
        drawn = []
        for number in range(spec.samples):
            identity = length_prefixed(item.id.encode("utf-8"), str(number).encode())
            drawn.append(_drawn_answer(loaded, prompt, spec, identity, rows.seed))
            yield
        answers.append([text for text, _ in drawn])
        cut.append(drawn[0][1])
    return answers, cut


def score_generation(loaded: LoadedModel, rows: TaskRows, shots: int, batch: int) -> Steps[list[ItemRecord]]:
    """Compare generated answers with right ones: exact match and token F1, of several answers their means."""
    spec, items = rows.spec, [item for item in rows.items if isinstance(item, GenerationItem)]
    # As much as `greedy_texts` leaves, less end-of-text.
    room = loaded.model_config.context - min(spec.max_tokens, loaded.model_config.context // 2) - 1
    prompts = [rows.prompt(item, drawn, loaded, room) for item, drawn in zip(items, rows.drawn(shots), strict=True)]
    answers, cut = yield from _answers(loaded, rows, prompts, batch)
    records = []
    for item, prompt, own, truncated in zip(items, prompts, answers, cut, strict=True):
        right = [extracted(one, spec.extract) for one in item.answers]
        said = [extracted(one, spec.extract) for one in own]
        metrics = {
            "exact_match": sum(exact_match(one, right, spec.compare) for one in said) / len(said),
            "token_f1": sum(token_f1(one, right, spec.compare) for one in said) / len(said),
        }
        records.append(
            ItemRecord(
                task=spec.name,
                shots=shots,
                id=item.id,
                group=item.group,
                truncated=truncated,
                metrics=metrics,
                prompt=prompt.text,
                examples=list(prompt.shown),
                detail={"generated": own[0] if len(own) == 1 else own, "answers": list(item.answers)},
            )
        )
    return records
