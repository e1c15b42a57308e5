"""From committed token shards and weights to a mixture plan: pure but for reading manifests and shard headers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import pyarrow as pa

from pipelines.tokens.frozen import FrozenTokenizer
from pipelines.tokens.shares import largest_remainder
from schemas.catalog import require_manifest
from schemas.configs.mix import MixConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ConfigError, ShardError, StageError, TooLittleTextError
from schemas.manifest import Manifest
from schemas.mixture import MixturePlan, Phase, ShardRef, SourceShare, SourceStream
from schemas.split import SPLITS, Split
from schemas.storage import join_url
from schemas.token_shard import INDEX_NAME, header_of, token_table

__all__ = ["build_plan", "epoch_table"]


def _shards(
    root: CorpusRoot, tokenizer: FrozenTokenizer, split: Split, key: PartitionKey, unit: Manifest
) -> list[ShardRef]:
    table = token_table(tokenizer.name, split)
    folder = root.partition_folder(table, key)
    found: list[ShardRef] = []
    for file in unit.tables[table].files:
        if file.name == INDEX_NAME:
            continue
        where = f"{folder.url}/{file.name}"
        try:
            with folder.open_read(file.name) as stream:
                header = header_of(pa.ipc.open_file(stream).schema, where)
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            raise ShardError(f"{where} is missing or damaged: {error}; remove its manifest and run tokenize") from error
        facts = (header.tokenizer_fingerprint, header.number, header.first_token, header.tokens)
        if facts != (tokenizer.fingerprint, len(found), sum(one.tokens for one in found), file.rows):
            raise ShardError(f"{where} does not fit its manifest and tokenizer; remove the manifest and run tokenize")
        path = join_url(table, key.source, key.partition, file.name)
        found.append(ShardRef(path=path, tokens=header.tokens, checksum=header.checksum))
    return found


def _stream(
    root: CorpusRoot,
    tokenizer: FrozenTokenizer,
    split: Split,
    source: str,
    units: Sequence[tuple[PartitionKey, Manifest]],
) -> SourceStream:
    shards = [shard for key, unit in units for shard in _shards(root, tokenizer, split, key, unit)]
    return SourceStream(
        source=source,
        tokens=sum(shard.tokens for shard in shards),
        utf8_bytes=sum(unit.counts[f"utf8_bytes_{split}"] for _, unit in units),
        documents=sum(unit.counts[f"documents_{split}"] for _, unit in units),
        shards=tuple(shards),
    )


def _one_split(units: Sequence[tuple[PartitionKey, Manifest]]) -> None:
    first_with: dict[tuple[float, float], PartitionKey] = {}
    for key, unit in units:
        first_with.setdefault((unit.config["test"], unit.config["validation"]), key)
    if len(first_with) > 1:
        (one, first), (other, second) = list(first_with.items())[:2]
        raise StageError(
            f"{first} was tokenized with test, validation = {one} and {second} with {other}: a text could be in "
            "training and in test; tokenize all partitions with the same shares"
        )


def _phase(config: MixConfig, train: Sequence[SourceStream]) -> Phase:
    windows = {stream.source: stream.windows(config.sequence_length) for stream in train}
    unknown = sorted(set(config.weights) - set(windows))
    if unknown:
        raise ConfigError(f"mix.weights names {', '.join(unknown)}; sources with tokens are {', '.join(windows)}")
    total = sum(windows.values())
    if total == 0:
        tokens = sum(stream.tokens for stream in train)
        raise TooLittleTextError(
            f"{tokens} training tokens give no window of {config.sequence_length} tokens and one further; "
            "give more documents, or a smaller mix.sequence_length"
        )
    weights = [float(config.weights.get(name, 0)) if config.weights else float(windows[name]) for name in windows]
    empty = [name for name, weight in zip(windows, weights, strict=True) if weight and not windows[name]]
    if empty:
        raise ConfigError(
            f"mix.weights gives {', '.join(empty)} a share, but its tokens fill no window of {config.sequence_length}; "
            "leave it out, or choose a smaller mix.sequence_length"
        )
    samples = config.samples or total
    counts = largest_remainder(weights, samples)
    shares = [
        SourceShare(
            source=name,
            weight=weight / sum(weights),
            samples=count,
            epochs=count / windows[name] if windows[name] else 0.0,
        )
        for (name, weight, count) in zip(windows, weights, counts, strict=True)
    ]
    return Phase(samples=samples, shares=tuple(shares))


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
        ConfigError: the weights name a source that is not there, or one without a window.
        TooLittleTextError: there is no window to train on.
        StageError: the partitions were split under different shares.
        ShardError: a shard is not what its manifest says.
    """
    units = [(key, require_manifest(root, token_table(tokenizer.name, "train"), key)) for key in keys]
    _one_split(units)
    by_source = [(source, list(group)) for source, group in groupby(units, key=lambda one: one[0].source)]
    streams: dict[Split, tuple[SourceStream, ...]] = {
        split: tuple(_stream(root, tokenizer, split, source, group) for source, group in by_source) for split in SPLITS
    }
    plan = MixturePlan(
        name=config.name or "-",
        tokenizer=tokenizer.name,
        tokenizer_fingerprint=tokenizer.fingerprint,
        vocabulary_size=tokenizer.vocabulary_size,
        end_of_text=tokenizer.end_of_text,
        sequence_length=config.sequence_length,
        seed=config.seed,
        train=streams["train"],
        validation=streams["validation"],
        test=streams["test"],
        phases=(_phase(config, streams["train"]),),
    )
    return plan if config.name else plan.model_copy(update={"name": f"mix-{plan.digest()[:8]}"})


def epoch_table(plan: MixturePlan) -> list[dict[str, str | int | float]]:
    """What the plan means for each source: its tokens, windows, weight, samples and epochs."""
    streams = {stream.source: stream for stream in plan.train}
    return [
        {
            "source": share.source,
            "documents": streams[share.source].documents,
            "tokens": streams[share.source].tokens,
            "windows": streams[share.source].windows(plan.sequence_length),
            "weight": round(share.weight, 6),
            "samples": share.samples,
            "epochs": round(share.epochs, 4),
        }
        for phase in plan.phases
        for share in phase.shares
    ]
