"""Common Crawl: the files of a slice of a snapshot, by the snapshot's own listing.

A snapshot such as CC-MAIN-2024-22 lists its 90,000 WARC files in `crawl-data/<snapshot>/warc.paths.gz`, and as many WET
files in `wet.paths.gz`; a slice is a range of lines of that listing, counted from 0. Which snapshots there are, the
index server says in `collinfo.json`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache

from pipelines.sources.compression import open_plain
from pipelines.sources.inputs import InputFile, remote_file
from pipelines.sources.items import DamagedInputError
from pipelines.sources.remote_files import open_source
from schemas.configs.sources import CommonCrawlConfig, FetchConfig
from schemas.corpus_root import natural_order
from schemas.errors import ConfigError, InputError
from schemas.storage import join_url

__all__ = ["SnapshotSlice", "file_count", "list_snapshots", "slice_files", "slice_of"]

_SNAPSHOT = re.compile(r"CC-MAIN-\d{4}(?:-\d{2,4})?")
_PARTITION = re.compile(r"(CC-MAIN-\d{4}(?:-\d{2,4})?)/(\d{1,6})(?:-(\d{1,6}))?")
# Segments of letters, digits and a few marks: nothing that leads out of the base URL, or to another server.
_PATH = re.compile(r"crawl-data/(?!\.)[A-Za-z0-9._-]+(?:/(?!\.)[A-Za-z0-9._=-]+)+")
# Ten times the longest listing so far.
_MOST_LISTING_BYTES = 128 * 2**20


@dataclass(frozen=True)
class SnapshotSlice:
    """Files `first` to `last`, inclusive, of a snapshot."""

    snapshot: str
    first: int
    last: int


def slice_of(config: CommonCrawlConfig, partition: str) -> SnapshotSlice:
    """The slice that settings and the partition's name say together.

    Raises:
        ConfigError: they say too little, or contradict each other.
    """
    named = _PARTITION.fullmatch(partition)
    first = int(named[2]) if named else None
    last = int(named[3] or named[2]) if named else None
    wanted = {"snapshot": named[1] if named else None, "first": first, "last": last}
    for name, by_partition in wanted.items():
        given = getattr(config, name)
        if given is not None and by_partition is not None and given != by_partition:
            raise ConfigError(
                f"common_crawl.{name} is {given}, but partition {partition} means {by_partition}; leave the setting "
                "out, or give the partition another name"
            )
        wanted[name] = by_partition if given is None else given
    if wanted["last"] is None:
        wanted["last"] = wanted["first"]
    missing = next((name for name, value in wanted.items() if value is None), None)
    if missing:
        raise ConfigError(
            f"partition {partition} does not say which files of Common Crawl to read: give common_crawl.{missing}, or "
            "name the partition SNAPSHOT/FIRST-LAST, such as CC-MAIN-2024-22/00000-00009"
        )
    found = SnapshotSlice(str(wanted["snapshot"]), int(wanted["first"] or 0), int(wanted["last"] or 0))
    if found.last < found.first:
        raise ConfigError(f"files {found.first} to {found.last} of {found.snapshot} are none; give a first <= last")
    return found


@lru_cache(maxsize=4)  # a backfill asks for many slices of one snapshot, whose listing never changes
def _listing(base_url: str, snapshot: str, kind: str, fetch: FetchConfig) -> tuple[str, ...]:
    url = join_url(base_url, "crawl-data", snapshot, f"{kind}.paths.gz")
    try:
        with open_source(url, fetch) as raw:
            content = open_plain(raw, "gzip", url).read(_MOST_LISTING_BYTES + 1)
    except DamagedInputError as error:
        raise InputError(f"the listing {url} is damaged: {error}; give another common_crawl.base_url") from error
    paths = content.decode("utf-8", "replace").split()
    strange = next((path for path in paths if not _PATH.fullmatch(path)), None)
    if strange is not None or len(content) > _MOST_LISTING_BYTES:
        raise InputError(
            f"the listing {url} names {strange!r:.80}, which is no file of Common Crawl; give another "
            "common_crawl.base_url"
        )
    return tuple(paths)


def list_snapshots(index_url: str, fetch: FetchConfig) -> list[str]:
    """The ids of all snapshots that the index server lists, the oldest first.

    Raises:
        InputError: there is no such list, or it is none.
        StageError: the server does not answer.
    """
    url = join_url(index_url, "collinfo.json")
    with open_source(url, fetch) as stream:
        content = stream.read(_MOST_LISTING_BYTES)
    try:
        ids = [str(row["id"]) for row in json.loads(content)]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{url} is no list of snapshots: {type(error).__name__} {error}; give the URL below which the index server "
            "has its collinfo.json"
        ) from error
    return sorted({one for one in ids if _SNAPSHOT.fullmatch(one)}, key=natural_order)


def file_count(config: CommonCrawlConfig, snapshot: str, fetch: FetchConfig) -> int:
    """How many files a snapshot has.

    Raises:
        InputError: the snapshot does not exist, or its listing cannot be believed.
        StageError: the server does not answer.
    """
    return len(_listing(config.base_url, snapshot, config.kind, fetch))


def slice_files(config: CommonCrawlConfig, partition: str, fetch: FetchConfig) -> list[InputFile]:
    """The files of a partition, in the order of the listing.

    Raises:
        ConfigError: settings and partition do not say which.
        InputError: the snapshot does not exist or has fewer files, or its listing cannot be believed.
        StageError: the server does not answer.
    """
    wanted = slice_of(config, partition)
    paths = _listing(config.base_url, wanted.snapshot, config.kind, fetch)
    if wanted.last >= len(paths):
        raise InputError(
            f"{wanted.snapshot} has {len(paths)} {config.kind.upper()} files, 0 to {len(paths) - 1}; there is no file "
            f"{wanted.last}"
        )
    chosen = paths[wanted.first : wanted.last + 1]
    return [remote_file(join_url(config.base_url, path), fetch) for path in chosen]
