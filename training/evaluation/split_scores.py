"""The score of a perplexity task: bits per byte of a split, with its perplexity and baseline beside it."""

from __future__ import annotations

import math
from typing import Any

from schemas.configs.evaluate import EvaluateConfig
from schemas.corpus_root import CorpusRoot
from schemas.errors import InputError
from schemas.mixture import MixturePlan, SourceStream, read_mixture
from schemas.tasks import TaskSpec
from training.checkpoints import LoadedModel
from training.data.shards import TokenStream, open_streams
from training.evaluation.bigram import bigram_nats
from training.evaluation.perplexity import SplitLoss, combine, score_stream
from training.evaluation.results import Score

__all__ = ["score_split"]

Split = list[tuple[TokenStream, SourceStream]]


def _open(loaded: LoadedModel, spec: TaskSpec) -> tuple[MixturePlan, Split]:
    if not loaded.mixture:
        raise InputError(
            f"task {spec.name} scores a split of the mixture that the run was trained on, and this model came from "
            "elsewhere; leave the task out of the suite"
        )
    root = CorpusRoot(loaded.root)
    plan = read_mixture(root.mixture_folder(), loaded.mixture)
    if plan.digest() != loaded.run.plan_digest:
        raise InputError(
            f"mixture {plan.name} in {root.url} is not the one that this run was trained on; "
            "evaluate with the corpus of the run"
        )
    facts = plan.test if spec.split == "test" else plan.validation
    streams = open_streams(root, plan, spec.split)
    return plan, [(stream, fact) for stream, fact in zip(streams, facts, strict=True) if stream.tokens]


def _losses(loaded: LoadedModel, split: Split, batch: int, limit: int | None) -> list[SplitLoss]:
    parts = [score_stream(loaded.model, *one, loaded.end_of_text, batch, limit) for one in split]
    return [combine(parts), *parts]


def _bigram(loaded: LoadedModel, plan: MixturePlan, split: Split) -> dict[str, float]:
    scored = [stream for stream, _ in split]
    train = open_streams(CorpusRoot(loaded.root), plan, "train", verify=False)
    nats = bigram_nats(train, scored, plan.vocabulary_size, plan.end_of_text)
    tokens, utf8_bytes = sum(s.tokens for s in scored), sum(fact.utf8_bytes for _, fact in split)
    return {"bigram_loss": nats / tokens, "bigram_bits_per_byte": nats / math.log(2) / utf8_bytes}


def score_split(loaded: LoadedModel, untrained: LoadedModel | None, spec: TaskSpec, config: EvaluateConfig) -> Score:
    """Bits per byte of a split of the run's mixture; `others` holds loss, perplexity and the bigram baseline.

    Chance is a uniform choice among all tokens of the vocabulary.

    Raises:
        InputError: the run has no mixture, or the corpus holds no such one, or another one under its name.
        ShardError: a shard is missing or damaged.
    """
    plan, split = _open(loaded, spec)
    facts: dict[str, Any] = {"task": spec.name, "kind": spec.kind, "shots": 0, "metric": spec.main_metric}
    if not split:
        note = f"the {spec.split} split of mixture {plan.name} holds no token"
        return Score(**facts, value=None, standard_error=None, n=0, groups=0, chance=None, note=note)
    whole, *parts = _losses(loaded, split, config.batch, config.limit)
    before = None
    if untrained is not None:
        before = _losses(untrained, split, config.batch, config.untrained_limit or config.limit)[0]
    others = {"loss": whole.loss, "perplexity": whole.perplexity, "utf8_bytes": float(whole.utf8_bytes)}
    others |= {f"loss_{part.source}": part.loss for part in parts}
    if before is not None:
        others["untrained_loss"] = before.loss
    if config.bigram:
        others |= _bigram(loaded, plan, split)

    def error(loss: SplitLoss | None) -> float | None:
        nats = None if loss is None else loss.nats_standard_error
        return None if loss is None or nats is None else loss.per_byte(nats)

    limited = whole.tokens < whole.split_tokens
    return Score(
        **facts,
        value=whole.per_byte(whole.nats),
        standard_error=error(whole),
        n=whole.tokens,
        groups=whole.windows,
        chance=whole.per_byte(whole.tokens * math.log(plan.vocabulary_size)),
        untrained=None if before is None else before.per_byte(before.nats),
        untrained_standard_error=error(before),
        untrained_n=0 if before is None else before.tokens,
        others=others,
        note=f"{whole.windows} windows of the split, spread evenly" if limited else "",
    )
