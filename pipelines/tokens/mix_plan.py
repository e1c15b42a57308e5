"""From committed token shards and settings to a mixture plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.tokens.frozen import FrozenTokenizer
from pipelines.tokens.mix_streams import plan_streams, require_continued
from pipelines.tokens.mix_weights import source_weights
from pipelines.tokens.shares import largest_remainder
from schemas.configs.mix import MixConfig
from schemas.configs.mixture_presets import MIXTURE_PRESETS
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ConfigError, TooLittleTextError
from schemas.mixture import Extended, MixturePlan, Phase, SourceShare, SourceStream, read_mixture
from schemas.phases import EpochPlace, places_after

__all__ = ["build_plan", "epoch_table", "published_table"]


def _remaining(
    config: MixConfig, train: Sequence[SourceStream], places: dict[str, EpochPlace]
) -> tuple[dict[str, int], dict[str, int]]:
    """Windows of each source, and those that are left of the epoch under way with the new ones in it."""
    windows = {stream.source: stream.windows(config.sequence_length) for stream in train}
    known = {name: places.get(name, EpochPlace()) for name in windows}
    return windows, {name: known[name].with_windows(windows[name]).left for name in windows}


def _phase(root: CorpusRoot, config: MixConfig, train: Sequence[SourceStream], places: dict[str, EpochPlace]) -> Phase:
    windows, remaining = _remaining(config, train, places)
    if sum(windows.values()) == 0:
        tokens = sum(stream.tokens for stream in train)
        raise TooLittleTextError(
            f"{tokens} training tokens give no window of {config.sequence_length} tokens and one further; "
            "give more documents, or a smaller mix.sequence_length"
        )
    weights = source_weights(root, config, train, remaining)
    empty = [name for name, weight in weights.items() if weight and not windows[name]]
    if empty:
        raise ConfigError(
            f"mix.weights gives {', '.join(empty)} a share, but its tokens fill no window of {config.sequence_length}; "
            "leave it out, or choose a smaller mix.sequence_length"
        )
    samples = config.samples or (config.tokens or 0) // config.sequence_length or sum(remaining.values())
    if samples == 0 or not any(weights.values()):
        raise ConfigError(
            f"mix.extends: all windows of mixture {config.extends} were seen and none came since; give samples or "
            "tokens, and weights, to go on into another epoch"
        )
    counts = largest_remainder(list(weights.values()), samples)
    total = sum(weights.values())
    shares = [
        SourceShare(source=name, weight=weight / total, samples=count, windows=windows[name])
        for (name, weight), count in zip(weights.items(), counts, strict=True)
    ]
    return Phase(samples=samples, planned=samples, shares=tuple(shares))


def _cut(phases: Sequence[Phase], samples: int) -> list[Phase]:
    """The phases up to a sample; the one in which it lies stays planned as it was."""
    kept = []
    for phase in phases:
        if samples > 0:
            kept.append(phase.model_copy(update={"samples": min(samples, phase.samples)}))
        samples -= phase.samples
    return kept


def _old_plan(root: CorpusRoot, config: MixConfig, tokenizer: FrozenTokenizer) -> tuple[MixturePlan, int] | None:
    if config.extends is None:
        return None
    old = read_mixture(root.mixture_folder(), config.extends)
    after = old.samples if config.after is None else config.after
    if after > old.samples:
        raise ConfigError(f"mix.after is {after}, and mixture {old.name} has {old.samples} samples; give at most that")
    facts = [
        ("tokenizer", old.tokenizer_fingerprint, tokenizer.fingerprint),
        ("sequence_length", old.sequence_length, config.sequence_length),
        ("seed", old.seed, config.seed),
    ]
    for what, was, now in facts:
        if was != now:
            raise ConfigError(
                f"mix.extends: mixture {old.name} has {what} {was}, not {now}; a plan goes on with its own"
            )
    return old, after


def build_plan(
    root: CorpusRoot, config: MixConfig, tokenizer: FrozenTokenizer, keys: Sequence[PartitionKey]
) -> MixturePlan:
    """The plan for the token shards of some partitions.

    Args:
        root: the corpus.
        config: weights, samples, sequence length; one epoch of every source where it names neither of the first two.
        tokenizer: whose shards are meant.
        keys: partitions in partition order; those of one source follow each other.

    Raises:
        ConfigError: the weights name a source that is not there, or one without a window; or the plan cannot go on
            from the one that it extends.
        InputError: there is no plan to extend.
        TooLittleTextError: there is no window to train on.
        StageError: the partitions were split under different shares.
        ShardError: a shard is not what its manifest says.
    """
    streams = plan_streams(root, tokenizer, keys)
    continued = _old_plan(root, config, tokenizer)
    train, phases, places, extends = streams["train"], list[Phase](), dict[str, EpochPlace](), None
    if continued is not None:
        old, after = continued
        train, phases = require_continued(old, streams), _cut(old.phases, after)
        places = places_after(old, after)
        extends = Extended(name=old.name, digest=old.digest(), samples=after)
    plan = MixturePlan(
        name=config.name or "-",
        tokenizer=tokenizer.name,
        tokenizer_fingerprint=tokenizer.fingerprint,
        vocabulary_size=tokenizer.vocabulary_size,
        end_of_text=tokenizer.end_of_text,
        sequence_length=config.sequence_length,
        seed=config.seed,
        train=train,
        validation=streams["validation"],
        test=streams["test"],
        phases=(*phases, _phase(root, config, train, places)),
        extends=extends,
    )
    return plan if config.name else plan.model_copy(update={"name": f"mix-{plan.digest()[:8]}"})


def epoch_table(plan: MixturePlan) -> list[dict[str, str | int | float]]:
    """What the plan means for each source and phase: its tokens, windows, weight, samples and epochs."""
    streams = {stream.source: stream for stream in plan.train}
    return [
        {
            "phase": number,
            "source": share.source,
            "documents": streams[share.source].documents,
            "tokens": streams[share.source].tokens,
            "windows": share.windows,
            "weight": round(share.weight, 6),
            "samples": share.samples,
            "epochs": round(share.epochs, 4),
        }
        for number, phase in enumerate(plan.phases)
        for share in phase.shares
    ]


def published_table(config: MixConfig) -> dict[str, Any]:
    """The published rows of the preset beside which the epochs are printed; empty without a preset.

    Of each row its source here, size, weight as printed and normalized, and epochs as printed; `disagreeing` names the
    rows whose printed epochs do not follow from size and weight, however these were rounded.
    """
    if config.preset is None:
        return {}
    preset = MIXTURE_PRESETS[config.preset]
    weights = preset.weights()
    rows = [
        {
            "row": row.name,
            "source": config.preset_sources.get(row.name, row.name),
            "tokens_billions": row.tokens_billions,
            "weight_percent": row.weight_percent,
            "weight": round(weights[row.name], 6),
            "epochs": row.epochs,
            "epochs_that_follow": round(weights[row.name] * preset.trained_billions / row.tokens_billions, 3),
        }
        for row in preset.rows
    ]
    return {"rows": rows, "trained_billions": preset.trained_billions, "disagreeing": preset.disagreeing()}
