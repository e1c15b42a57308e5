"""The stage `mix`: a mixture plan over the token shards there are. No data is copied.

Writes `<root>/mixtures/<name>.json`, which never changes: where its content would be another, it takes another name.
A plan without a name of its own is named after its content, so new tokens simply give a new plan beside the old ones.
"""

from __future__ import annotations

import time

from pipelines.engine.stage import StageRequest, StageResult
from pipelines.engine.unit import UnitOutcome
from pipelines.tokens.frozen import read_tokenizer
from pipelines.tokens.mix_plan import build_plan, epoch_table, published_table
from schemas.configs.mix import MixConfig
from schemas.corpus_root import PartitionKey
from schemas.errors import ConfigError, StageError
from schemas.lease import hold_lease
from schemas.manifest import InputRecord, Manifest
from schemas.mixture import MixturePlan, read_mixture, write_mixture
from schemas.token_shard import token_table

__all__ = ["STAGE_VERSION", "mixture_key", "pending", "run"]

STAGE_VERSION = 2


def mixture_key(name: str) -> PartitionKey:
    """The unit of work of one plan."""
    return PartitionKey("mixtures", name)


def _plan(request: StageRequest[MixConfig]) -> MixturePlan:
    tokenizer = read_tokenizer(request.root, request.config.tokenizer)
    keys = request.selected(token_table(tokenizer.name, "train"))
    return build_plan(request.root, request.config, tokenizer, keys)


def _stored(request: StageRequest[MixConfig], plan: MixturePlan) -> MixturePlan | None:
    folder = request.root.mixture_folder()
    if not folder.exists(f"{plan.name}.json"):
        return None
    stored = read_mixture(folder, plan.name)
    if stored.digest() != plan.digest():
        raise ConfigError(
            f"mixture {plan.name!r} is there with other content, and a plan never changes; "
            "give another name with `--set name=…`, or none to have it named after its content"
        )
    return stored


def _manifest(request: StageRequest[MixConfig], plan: MixturePlan, seconds: float) -> Manifest:
    """What the outcome says of a plan; it is not stored, the plan itself is the record."""
    shards = [shard for stream in (*plan.train, *plan.validation, *plan.test) for shard in stream.shards]
    counts = {"samples": plan.samples, "shards": len(shards)}
    for split, streams in (("train", plan.train), ("validation", plan.validation), ("test", plan.test)):
        counts[f"tokens_{split}"] = sum(stream.tokens for stream in streams)
        counts[f"windows_{split}"] = sum(stream.windows(plan.sequence_length) for stream in streams)
        counts[f"tail_tokens_{split}"] = sum(stream.tail(plan.sequence_length) for stream in streams)
    published = {"published": table} if (table := published_table(request.config)) else {}
    return Manifest(
        stage="mix",
        stage_version=STAGE_VERSION,
        source="mixtures",
        partition=plan.name,
        fingerprint=plan.digest(),
        config=request.config.fingerprint_view(),
        inputs=tuple(InputRecord(name=shard.path, digest=shard.checksum) for shard in shards),
        tables={},
        counts=counts,
        notes={"mixture": plan.name, "plan_digest": plan.digest(), "epochs": epoch_table(plan), **published},
        seconds=round(seconds, 3),
    )


def pending(request: StageRequest[MixConfig]) -> int:
    """Units that `run` would do now.

    Raises:
        InputError: there is no tokenizer or no token shards.
        ConfigError: a plan of this name has other content.
    """
    try:
        return 0 if _stored(request, _plan(request)) else 1
    except StageError:  # `run` says why
        return 1


def run(request: StageRequest[MixConfig]) -> StageResult:
    """Write the plan for the token shards of all (or the asked for) partitions, unless it is there.

    Raises:
        InputError: there is no tokenizer or no token shards.
        ConfigError: a plan of this name has other content, or the weights fit no source.
        TooLittleTextError: there is no window to train on.
        LeaseError: another live run writes a plan of this name.
    """
    started = time.monotonic()
    plan = _plan(request)
    key = mixture_key(plan.name)
    with hold_lease(request.root, "mix", key):
        there = _stored(request, plan) is not None
        if not there:
            write_mixture(request.root.mixture_folder(), plan)
    manifest = _manifest(request, plan, time.monotonic() - started)
    outcome = UnitOutcome(key, "skipped", manifest, "the same plan") if there else UnitOutcome(key, "done", manifest)
    return StageResult(stage="mix", outcomes=(outcome,))
