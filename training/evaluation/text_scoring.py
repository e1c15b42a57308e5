"""Perplexity of texts, each by itself: rolling windows over its tokens, after an end-of-text id."""

from __future__ import annotations

import math

from training.checkpoints import LoadedModel
from training.evaluation.likelihood import AnswerScore
from training.evaluation.perplexity import windows
from training.evaluation.results import ItemRecord
from training.evaluation.statistics import Estimate, estimate_ratio
from training.evaluation.steps import Steps
from training.evaluation.task_rows import TaskRows
from training.evaluation.token_scores import in_batches, rows_at_once, token_losses
from training.generation.tokens import encode

__all__ = ["estimate_texts", "rolling_nats", "score_texts"]

_SHOWN_CHARACTERS = 2000


def rolling_nats(loaded: LoadedModel, texts: list[str], given: int, batch: int) -> Steps[list[AnswerScore]]:
    """The log-likelihood of each text.

    Args:
        loaded: the model and its tokenizer.
        texts: any length.
        given: see `training.evaluation.perplexity.windows`.
        batch: windows of one forward pass at most.
    """
    ids = [encode(loaded.tokenizer, text) for text in texts]
    context = loaded.model_config.context
    places = [(n, window) for n, one in enumerate(ids) for window in windows(len(one), context, min(given, context))]
    rows = [
        [loaded.end_of_text, *ids[n][: window.stop]] if window.first < 0 else ids[n][window.first : window.stop]
        for n, window in places
    ]
    nats: list[list[float]] = [[] for _ in texts]
    for chosen in in_batches([len(row) for row in rows], rows_at_once(loaded.model, batch)):
        losses = token_losses(loaded.model, [rows[i] for i in chosen], [places[i][1].scored for i in chosen])
        for index, losses_N in zip(chosen, losses, strict=True):
            nats[places[index][0]].append(-float(losses_N.double().sum()))
        yield
    return [
        AnswerScore(nats=math.fsum(own), tokens=len(one), greedy=False, last_greedy=False, cut=False)
        for own, one in zip(nats, ids, strict=True)
    ]


def score_texts(loaded: LoadedModel, rows: TaskRows, batch: int) -> Steps[list[ItemRecord]]:
    """The log-likelihood of each text, with its bytes, words (by white space) and tokens."""
    spec = rows.spec
    found = yield from rolling_nats(loaded, [item.text for item in rows.texts], spec.given, batch)
    return [
        ItemRecord(
            task=spec.name,
            shots=0,
            id=item.id,
            group=item.group,
            truncated=False,
            metrics={
                "bits_per_byte": -one.nats / math.log(2) / len(item.text.encode("utf-8")),
                "log_likelihood": one.nats,
                "utf8_bytes": float(len(item.text.encode("utf-8"))),
                "words": float(len(item.text.split())),
                "tokens": float(one.tokens),
            },
            prompt=item.text[:_SHOWN_CHARACTERS],
            examples=[],
            detail={},
        )
        for item, one in zip(rows.texts, found, strict=True)
    ]


def estimate_texts(records: list[ItemRecord]) -> tuple[Estimate, dict[str, float]]:
    """Bits per byte over all texts together, and perplexities per byte, word and token."""
    nats = [-record.metrics["log_likelihood"] for record in records]
    sizes = {unit: [record.metrics[unit] for record in records] for unit in ("utf8_bytes", "words", "tokens")}
    groups = [record.id if record.group is None else record.group for record in records]
    bits = estimate_ratio([one / math.log(2) for one in nats], sizes["utf8_bytes"], groups)
    names = {"utf8_bytes": "byte_perplexity", "words": "word_perplexity", "tokens": "token_perplexity"}
    others = {}
    for unit, name in names.items():
        # Perplexity per word of an untrained model is beyond what a float holds.
        exponent = math.fsum(nats) / max(1.0, math.fsum(sizes[unit]))
        if exponent < 700:
            others[name] = math.exp(exponent)
    return bits, others | {"utf8_bytes": math.fsum(sizes["utf8_bytes"])}
