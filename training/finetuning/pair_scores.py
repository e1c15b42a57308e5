"""How well a model answers prompts, before and after fine-tuning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from schemas.configs.finetune import FinetuneConfig
from schemas.tasks import Pair
from training.checkpoints import LoadedModel
from training.evaluation.answers import exact_match, token_f1
from training.evaluation.likelihood import Request, log_likelihoods
from training.evaluation.prompts import Prompt
from training.evaluation.scoring import greedy_answers
from training.evaluation.statistics import Estimate, estimate_mean
from training.generation.tokens import encode

__all__ = ["Change", "PairScore", "compare", "score_constant", "score_pairs"]

METRICS = ("exact_match", "token_f1", "answer_loss")


class PairScore(BaseModel):
    """What a model gave for one pair; `answer_loss` is in nats per token of the right answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generated: str
    exact_match: float
    token_f1: float
    answer_loss: float


class Change(BaseModel):
    """One metric before and after; the change's standard error is of the differences pair by pair."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    before: Estimate
    after: Estimate
    change: Estimate


def score_pairs(loaded: LoadedModel, pairs: Sequence[Pair], config: FinetuneConfig) -> list[PairScore]:
    """Generate an answer to each prompt, and take the loss of the right one."""
    prompts = [Prompt(pair.prompt, encode(loaded.tokenizer, pair.prompt), "") for pair in pairs]
    answers, _ = greedy_answers(loaded, prompts, config.delimiter, config.stop, config.max_tokens, config.score_batch)
    requests = [
        Request(prompt.ids, encode(loaded.tokenizer, config.delimiter + pair.answer))
        for prompt, pair in zip(prompts, pairs, strict=True)
    ]
    sums, _ = log_likelihoods(loaded.model, requests, loaded.end_of_text, config.score_batch)
    return [
        PairScore(
            generated=answer,
            exact_match=exact_match(answer, [pair.answer]),
            token_f1=token_f1(answer, [pair.answer]),
            answer_loss=-total / len(request.answer),
        )
        for pair, answer, total, request in zip(pairs, answers, sums, requests, strict=True)
    ]


def compare(pairs: Sequence[Pair], before: Sequence[PairScore], after: Sequence[PairScore]) -> dict[str, Change]:
    """Each metric before, after, and its change."""
    groups = [str(index) if pair.group is None else pair.group for index, pair in enumerate(pairs)]
    result = {}
    for metric in METRICS:
        old, new = ([float(getattr(score, metric)) for score in scores] for scores in (before, after))
        difference = [late - early for early, late in zip(old, new, strict=True)]
        result[metric] = Change(
            before=estimate_mean(old, groups),
            after=estimate_mean(new, groups),
            change=estimate_mean(difference, groups),
        )
    return result


def score_constant(train: Sequence[Pair], test: Sequence[Pair]) -> dict[str, float]:
    """Exact match and token F1 of a model that gives the commonest training answer, whatever it is asked."""
    answer = Counter(pair.answer for pair in train).most_common(1)[0][0]
    return {
        "exact_match": sum(exact_match(answer, [pair.answer]) for pair in test) / len(test),
        "token_f1": sum(token_f1(answer, [pair.answer]) for pair in test) / len(test),
    }
