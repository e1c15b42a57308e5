"""The stage `clean`: raw files to `documents/`, `dropped/` and `dead/` of one partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq

from pipelines.engine.settings import Engine
from pipelines.engine.spill import bucket_count
from pipelines.engine.stage import StageRequest, StageResult
from pipelines.engine.staging import StagedTable
from pipelines.engine.unit import Unit, UnitOutput, run_unit
from pipelines.quality.pinned import with_pinned_classifier
from pipelines.sources.census import FileCensus, take_census
from pipelines.sources.common_crawl import slice_files
from pipelines.sources.inputs import InputFile, list_inputs
from pipelines.sources.source_format import ReadSettings
from schemas.configs.clean import CleanConfig
from schemas.configs.sources import CommonCrawlConfig
from schemas.errors import ConfigError, StageError
from schemas.storage import Folder
from schemas.takedown import read_takedowns

__all__ = ["STAGE_VERSION", "check_conservation", "clean_unit", "input_files", "pending", "row_counts", "run"]

STAGE_VERSION = 3

# A source of this name, without inputs, is read from Common Crawl; others say so by a table of settings.
_COMMON_CRAWL = "common_crawl"


def input_files(request: StageRequest[CleanConfig]) -> list[InputFile]:
    """The files to clean: those given, or those of Common Crawl.

    Raises:
        InputError: one is missing, or none is given.
        ConfigError: both inputs and Common Crawl are asked for, or it is not clear which files of it.
        StageError: a server does not answer.
    """
    config = request.config
    crawl = config.common_crawl
    if crawl is None and request.source == _COMMON_CRAWL and not request.inputs:
        crawl = CommonCrawlConfig.model_validate({})
    if crawl is None:
        return list_inputs(request.inputs, config.fetch)
    if request.inputs:
        raise ConfigError(f"--input {request.inputs[0]} and common_crawl are two places to read from; give one of them")
    return slice_files(crawl, request.key().partition, config.fetch)


def clean_unit(request: StageRequest[CleanConfig], files: Sequence[InputFile]) -> Unit:
    """The unit of work that cleans these files into the partition of the request."""
    return Unit(
        root=request.root,
        stage="clean",
        version=STAGE_VERSION,
        key=request.key(),
        table="documents",
        config=request.config,
        inputs=tuple(file.record() for file in files),
    )


def _reasons(table: StagedTable, column: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for file in table.files:
        with table.folder.open_read(file.name) as stream:
            values = pq.read_table(stream, columns=[column]).column(column).to_pylist()
        counts.update(value if isinstance(value, str) else value[0] for value in values)
    return counts


def check_conservation(items: Counter[str], tables: dict[str, StagedTable]) -> None:
    """See that each item counted gave one row.

    Raises:
        StageError: items and rows differ in number.
    """
    rows = {name: table.rows for name, table in tables.items()}
    if items.total() != sum(rows.values()):
        counted = ", ".join(f"{number} {kind}" for kind, number in sorted(items.items()))
        written = ", ".join(f"{number} {name}" for name, number in rows.items())
        raise StageError(
            f"clean lost or doubled items: the census counted {items.total()} ({counted}), rows were written for "
            f"{sum(rows.values())} ({written}); nothing was committed, please report the input"
        )


def row_counts(tables: dict[str, StagedTable]) -> dict[str, int]:
    """Rows by table, and by their first failed rule or by error."""
    return {
        **{name: table.rows for name, table in tables.items()},
        **{f"dropped.{rule}": number for rule, number in sorted(_reasons(tables["dropped"], "rules").items())},
        **{f"dead.{error}": number for error, number in sorted(_reasons(tables["dead"], "error").items())},
    }


def _counts(censuses: Sequence[FileCensus], tables: dict[str, StagedTable]) -> dict[str, int]:
    """Items by kind, other records, and rows."""
    items: Counter[str] = sum((census.items for census in censuses), Counter())
    others: Counter[str] = sum((census.others for census in censuses), Counter())
    check_conservation(items, tables)
    return {
        "items": items.total(),
        "payload_bytes": sum(census.payload_bytes for census in censuses),
        **{f"items.{kind}": number for kind, number in sorted(items.items())},
        **{f"records.{kind}": number for kind, number in sorted(others.items())},
        **row_counts(tables),
    }


def _clean(unit: Unit, config: CleanConfig, files: Sequence[InputFile], engine: Engine, folder: Folder) -> UnitOutput:
    from pipelines.cleaning.transform import CLEAN_TABLES, CleanPages
    from pipelines.engine.runner import run_pipeline
    from pipelines.engine.write_parts import staged_tables

    settings = ReadSettings.of(config)
    censuses = [take_census(file, settings) for file in files]
    work = [piece for census in censuses for piece in census.work]
    buckets = bucket_count(sum(census.payload_bytes for census in censuses))

    takedowns = read_takedowns(unit.root)

    def build(pipeline: Any) -> Any:
        return pipeline | "Clean" >> CleanPages(work, unit.key, config, folder, buckets, takedowns=takedowns)

    run_pipeline(build, engine, "clean", folder)
    tables = staged_tables(folder, CLEAN_TABLES)
    return UnitOutput(
        tables=tables, counts=_counts(censuses, tables), inputs=tuple(census.record for census in censuses)
    )


def run(request: StageRequest[CleanConfig]) -> StageResult:
    """Clean the inputs of the request into one partition, unless that is done.

    Raises:
        InputError: an input is missing, or source or partition are not named.
        StageError: rows do not add up to the items counted, or a worker failed.
    """
    request = replace(request, config=with_pinned_classifier(request.config))
    files = input_files(request)
    request.engine.require_reachable([*(file.url for file in files), *filter(None, [request.config.classifier])])
    unit = clean_unit(request, files)
    outcome = run_unit(unit, request.engine, lambda folder: _clean(unit, request.config, files, request.engine, folder))
    return StageResult(stage="clean", outcomes=(outcome,))


def pending(request: StageRequest[CleanConfig]) -> int:
    """How many units `run` would do now: 0 or 1.

    Raises:
        InputError: an input is missing, or source or partition are not named.
    """
    request = replace(request, config=with_pinned_classifier(request.config))
    return int(clean_unit(request, input_files(request)).done() is None)
