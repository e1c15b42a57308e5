"""The token streams of a corpus as a mixture plan pins them, from manifests and the headers of shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import pyarrow as pa

from pipelines.tokens.frozen import FrozenTokenizer
from schemas.catalog import require_manifest
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ConfigError, ShardError, StageError
from schemas.manifest import Manifest
from schemas.mixture import IndexRef, MixturePlan, ShardRef, SourceStream
from schemas.split import SPLITS, Split
from schemas.storage import join_url
from schemas.token_shard import INDEX_NAME, header_of, token_table

__all__ = ["plan_streams", "require_continued"]

_Units = Sequence[tuple[PartitionKey, Manifest]]


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


def _indexes(tokenizer: FrozenTokenizer, split: Split, key: PartitionKey, unit: Manifest) -> list[IndexRef]:
    table = token_table(tokenizer.name, split)
    return [
        IndexRef(
            path=join_url(table, key.source, key.partition, file.name),
            documents=file.rows,
            tokens=unit.counts[f"tokens_{split}"],
            checksum=file.checksum,
        )
        for file in unit.tables[table].files
        if file.name == INDEX_NAME
    ]


def _stream(root: CorpusRoot, tokenizer: FrozenTokenizer, split: Split, source: str, units: _Units) -> SourceStream:
    shards = [shard for key, unit in units for shard in _shards(root, tokenizer, split, key, unit)]
    return SourceStream(
        source=source,
        tokens=sum(shard.tokens for shard in shards),
        utf8_bytes=sum(unit.counts[f"utf8_bytes_{split}"] for _, unit in units),
        documents=sum(unit.counts[f"documents_{split}"] for _, unit in units),
        shards=tuple(shards),
        indexes=tuple(index for key, unit in units for index in _indexes(tokenizer, split, key, unit)),
    )


def _one_split(units: _Units) -> None:
    first_with: dict[tuple[float, float], PartitionKey] = {}
    for key, unit in units:
        first_with.setdefault((unit.config["test"], unit.config["validation"]), key)
    if len(first_with) > 1:
        (one, first), (other, second) = list(first_with.items())[:2]
        raise StageError(
            f"{first} was tokenized with test, validation = {one} and {second} with {other}: a text could be in "
            "training and in test; tokenize all partitions with the same shares"
        )


def plan_streams(
    root: CorpusRoot, tokenizer: FrozenTokenizer, keys: Sequence[PartitionKey]
) -> dict[Split, tuple[SourceStream, ...]]:
    """The streams of some partitions by split, each source's partitions joined in the order given.

    Args:
        root: the corpus.
        tokenizer: whose shards are meant.
        keys: partitions in partition order; those of one source follow each other.

    Raises:
        StageError: the partitions were split under different shares.
        ShardError: a shard is not what its manifest says.
    """
    units = [(key, require_manifest(root, token_table(tokenizer.name, "train"), key)) for key in keys]
    _one_split(units)
    by_source = [(source, list(group)) for source, group in groupby(units, key=lambda one: one[0].source)]
    return {
        split: tuple(_stream(root, tokenizer, split, source, group) for source, group in by_source) for split in SPLITS
    }


def require_continued(old: MixturePlan, streams: Mapping[Split, Sequence[SourceStream]]) -> tuple[SourceStream, ...]:
    """The training streams in the order of an older plan, new sources last; each begins with what it was.

    Raises:
        ConfigError: a source of the old plan is gone, or its shards are not those of then with others after them.
    """
    now = {stream.source: stream for stream in streams["train"]}
    for stream in old.train:
        there = now.get(stream.source)
        if there is None or there.shards[: len(stream.shards)] != stream.shards:
            raise ConfigError(
                f"mix.extends: the shards of {stream.source} are not those of mixture {old.name} with later ones after "
                "them, so its windows are not the same any more; plan anew, without extends"
            )
    known = [stream.source for stream in old.train]
    return (*(now[name] for name in known), *(stream for name, stream in now.items() if name not in known))
