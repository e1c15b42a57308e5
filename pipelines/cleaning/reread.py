"""Reading single items of a partition again, by their address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipelines.sources.census import FileCensus, take_census
from pipelines.sources.inputs import list_inputs
from pipelines.sources.items import WorkItem
from pipelines.sources.source_format import ReadSettings
from schemas.configs.clean import CleanConfig
from schemas.errors import InputError
from schemas.manifest import InputRecord, Manifest

__all__ = ["Addresses", "bucket_of_part", "work_at"]

# Offsets of items by the URL of their file.
Addresses = Mapping[str, set[int]]


def bucket_of_part(name: str) -> int:
    """The bucket that a file of a Parquet table holds, by its name."""
    return int(name.removeprefix("part-").removesuffix(".parquet"))


def _unchanged(url: str, manifest: Manifest, config: CleanConfig) -> FileCensus:
    known: dict[str, InputRecord] = {record.name: record for record in manifest.inputs}
    (file,) = list_inputs([url], config.fetch)
    same = url in known and known[url].digest == file.record().digest
    census = take_census(file, ReadSettings.of(config)) if same else None
    if census is None or census.record.content_digest != known[url].content_digest:
        raise InputError(
            f"{url} has changed since {manifest.source}/{manifest.partition} was cleaned, so its records cannot be "
            "found by their addresses; run clean on the partition again"
        )
    return census


def work_at(addresses: Addresses, manifest: Manifest, config: CleanConfig) -> list[WorkItem]:
    """The pieces of files that hold the items at `addresses`, which read these items alone.

    Raises:
        InputError: a file is missing, or is not the one that was cleaned.
        StageError: a server does not give it.
    """
    pieces = []
    for url, offsets in sorted(addresses.items()):
        for piece in _unchanged(url, manifest, config).work:
            wanted = {one for one in offsets if piece.start <= one and (piece.end is None or one < piece.end)}
            if wanted:
                pieces.append(replace(piece, only=frozenset(wanted)))
    return pieces
