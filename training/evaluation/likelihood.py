"""Answers after contexts, scored: each context is computed once, whatever the number of its answers.

Contexts of about one length are computed together, up to the end of the shortest, into a key-value cache; from there on
each answer is a row of its own, with what is left of its context before it. So nothing is padded on the left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from training.evaluation.steps import Steps, finish
from training.evaluation.token_scores import TokenScores, token_scores
from training.model.cache import KeyValueCache
from training.model.gpt import GPT

__all__ = ["AnswerScore", "Request", "best_choice", "log_likelihoods", "score_answers"]

# Nats by which equal scores may differ between shapes of a batch: matrix products round by their shape.
_TIE_NATS = 1e-4


@dataclass(frozen=True)
class Request:
    """Token ids that are given and token ids that are scored after them."""

    context: list[int]
    answer: list[int]


@dataclass(frozen=True)
class AnswerScore:
    """How likely an answer is after its context.

    Attributes:
        nats: sum of log-probabilities, at most 0.
        tokens: how many were scored.
        greedy: whether each of them was the likeliest one.
        last_greedy: whether the last one was.
        cut: whether the context was cut from the left to fit.
    """

    nats: float
    tokens: int
    greedy: bool
    last_greedy: bool
    cut: bool


@dataclass(frozen=True)
class _Group:
    """A context, with the answers after it and where their scores go."""

    context: list[int]
    answers: list[list[int]]
    places: list[tuple[int, int]]
    cut: bool = False


def _grouped(number: int, context: list[int], answers: Sequence[list[int]], limit: int) -> Iterator[_Group]:
    """The answers after one context, together where all of them fit, else those that do not each by itself."""
    places = [(number, place) for place in range(len(answers))]
    fits = [len(context) + len(answer) <= limit for answer in answers]
    whole = [place for place, fit in zip(places, fits, strict=True) if fit]
    if whole:
        yield _Group(context, [answers[place] for _, place in whole], whole)
    for place, answer, fit in zip(places, answers, fits, strict=True):
        if not fit:
            row = [*context, *answer][-limit:]
            scored = min(len(answer), limit - 1)
            yield _Group(row[: len(row) - scored], [row[len(row) - scored :]], [place], cut=True)


def _batches(groups: list[_Group], batch: int) -> Iterator[list[_Group]]:
    """Groups with up to `batch` answers together, longest context first; equal lengths keep their order."""
    together: list[_Group] = []
    for group in sorted(groups, key=lambda one: -len(one.context)):
        if together and sum(len(one.answers) for one in (*together, group)) > batch:
            yield together
            together = []
        together.append(group)
    if together:
        yield together


def _scored(model: GPT, groups: list[_Group], batch: int) -> Steps[list[TokenScores]]:
    """The answers of all groups in order."""
    # The last token of a context is left for the rows: its logits are those of an answer's first token.
    shared = min(len(group.context) for group in groups) - 1
    if all(len(group.answers) == 1 for group in groups):
        shared = 0
    cache = None
    if shared:
        cache = KeyValueCache(model.config)
        begin_GT = torch.tensor([group.context[:shared] for group in groups])
        with torch.inference_mode():
            model.hidden(begin_GT.to(model.token_embedding.weight.device), cache)
        yield
    rows = [(n, group.context[shared:] + answer) for n, group in enumerate(groups) for answer in group.answers]
    scored = [len(answer) for group in groups for answer in group.answers]
    found: list[TokenScores] = []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        own = None
        if cache is not None:
            own = cache.take(torch.tensor([n for n, _ in part], device=model.token_embedding.weight.device))
        found += token_scores(model, [ids for _, ids in part], scored[start : start + batch], own)
        yield
    return found


def score_answers(
    model: GPT, asked: Sequence[tuple[list[int], Sequence[list[int]]]], end_of_text: int, batch: int
) -> Steps[list[list[AnswerScore]]]:
    """Score the answers to each context.

    Args:
        model: in eval mode.
        asked: ids of a context, which may be empty, and of the answers after it, which may not. A context begins with
            the end-of-text id, as documents do in training. What does not fit in the model's context is cut from the
            left.
        end_of_text: stands before each context.
        batch: sequences of one forward pass at most.
    """
    limit = model.config.context + 1
    groups = [
        group
        for number, (context, answers) in enumerate(asked)
        for group in _grouped(number, [end_of_text, *context], answers, limit)
    ]
    scores: dict[tuple[int, int], AnswerScore] = {}
    for together in _batches(groups, batch):
        found = yield from _scored(model, together, batch)
        places = [(place, group.cut) for group in together for place in group.places]
        for (place, cut), one in zip(places, found, strict=True):
            scores[place] = AnswerScore(
                nats=-float(one.losses.double().sum()),
                tokens=len(one.losses),
                greedy=bool(one.greedy.all()),
                last_greedy=bool(one.greedy[-1]),
                cut=cut,
            )
    return [[scores[number, place] for place in range(len(answers))] for number, (_, answers) in enumerate(asked)]


def log_likelihoods(
    model: GPT, requests: Sequence[Request], end_of_text: int, batch: int
) -> tuple[list[float], list[bool]]:
    """Sum of log-probabilities of each answer after its context, nats, and whether its context was cut."""
    asked = [(request.context, [request.answer]) for request in requests]
    found = finish(score_answers(model, asked, end_of_text, batch))
    return [one.nats for (one,) in found], [one.cut for (one,) in found]


def best_choice(scores: Sequence[float]) -> int:
    """Position of the highest score; among scores that are equal up to rounding, the lowest position."""
    highest = max(scores)
    return next(index for index, score in enumerate(scores) if score >= highest - _TIE_NATS)
