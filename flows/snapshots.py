"""Which partitions of Common Crawl a corpus has not: snapshots as they are listed, compared with what is committed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipelines.sources.common_crawl import file_count, list_snapshots, slice_of
from schemas.catalog import units
from schemas.configs.base import load_config
from schemas.configs.clean import CleanConfig
from schemas.configs.flows import WatchSnapshotsParameters
from schemas.configs.sources import CommonCrawlConfig
from schemas.configs.tokenize import TokenizeConfig
from schemas.corpus_root import CorpusRoot, natural_order
from schemas.errors import ConfigError, InputError
from schemas.token_shard import token_table

__all__ = ["SliceDecision", "decide", "look_for_slices"]

_DIGITS = 5  # as in the names of the files themselves


@dataclass(frozen=True)
class SliceDecision:
    """What is to be done with one slice of a snapshot, and why; `partition` is empty where the snapshot has none."""

    snapshot: str
    partition: str
    decision: Literal["build", "there", "left alone", "failed"]
    reason: str


def _covered(partitions: Iterable[str]) -> dict[str, set[int]]:
    """The files that partitions hold, by snapshot; partitions that are no slices hold none."""
    files: dict[str, set[int]] = {}
    for partition in partitions:
        try:
            one = slice_of(CommonCrawlConfig.model_validate({}), partition)
        except ConfigError:
            continue
        files.setdefault(one.snapshot, set()).update(range(one.first, one.last + 1))
    return files


def _first_wanted(parameters: WatchSnapshotsParameters, listed: list[str], had: Iterable[str]) -> str:
    oldest = min(had, key=natural_order, default="")
    return parameters.first_snapshot or oldest or listed[-1]


def _name(snapshot: str, first: int, last: int) -> str:
    return f"{snapshot}/{first:0{_DIGITS}}" + (f"-{last:0{_DIGITS}}" if last > first else "")


def _slices(parameters: WatchSnapshotsParameters, snapshot: str, count: int, done: set[int]) -> Iterable[SliceDecision]:
    for first in range(0, min(parameters.slices * parameters.files, count), parameters.files):
        last = min(first + parameters.files, count) - 1
        there = done.issuperset(range(first, last + 1))
        reason = "its token shards are committed" if there else "no token shards yet"
        yield SliceDecision(snapshot, _name(snapshot, first, last), "there" if there else "build", reason)


def decide(
    parameters: WatchSnapshotsParameters, listed: list[str], started: Iterable[str], finished: Iterable[str]
) -> list[SliceDecision]:
    """What is to be done with each listed snapshot, the oldest first.

    Args:
        parameters: of the flow.
        listed: ids of snapshots, the oldest first.
        started: partitions of the source that have documents.
        finished: partitions of the source that have token shards.

    Raises:
        StageError: a server does not answer.
        ConfigError: the settings of `clean` are wrong.
    """
    if not listed:
        return []
    config = load_config(CleanConfig, parameters.config, [f"common_crawl.base_url={parameters.base_url}"])
    assert config.common_crawl is not None
    done = _covered(finished)
    first = _first_wanted(parameters, listed, _covered(started))
    decisions = []
    for snapshot in listed:
        if natural_order(snapshot) < natural_order(first):
            decisions.append(SliceDecision(snapshot, "", "left alone", f"older than {first}"))
            continue
        try:
            count = file_count(config.common_crawl, snapshot, config.fetch)
        except InputError as error:
            decisions.append(SliceDecision(snapshot, "", "failed", str(error)))
            continue
        decisions += _slices(parameters, snapshot, count, done.get(snapshot, set()))
    return decisions


def look_for_slices(parameters: WatchSnapshotsParameters) -> list[SliceDecision]:
    """Ask the index server, and compare with the corpus.

    Raises:
        InputError: there is no list of snapshots, or an empty one.
        StageError: a server does not answer.
        ConfigError: the settings are wrong.
    """
    root = CorpusRoot(parameters.root)
    tokenizer = load_config(TokenizeConfig, parameters.config).tokenizer
    fetch = load_config(CleanConfig, parameters.config).fetch
    listed = list_snapshots(parameters.index_url, fetch)
    if not listed:
        raise InputError(f"{parameters.index_url} lists no snapshot of Common Crawl; give the URL of its index server")
    had = {
        table: [key.partition for key in units(root, table) if key.source == parameters.source]
        for table in ("documents", token_table(tokenizer, "train"))
    }
    return decide(parameters, listed, *had.values())
