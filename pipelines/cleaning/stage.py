"""The stage `clean`: raw files to `documents/`, `dropped/` and `dead/` of one partition."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipelines.cleaning.brake import check_brake
from pipelines.cleaning.lists.list_files import list_records
from pipelines.cleaning.retune import earlier_run, retune
from pipelines.cleaning.row_counts import check_conservation, row_counts
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
from schemas.errors import ConfigError, LossBrakeError
from schemas.manifest import InputRecord
from schemas.storage import Folder
from schemas.takedown import TakedownList, read_takedowns

__all__ = ["STAGE_VERSION", "clean_unit", "input_files", "pending", "run"]

STAGE_VERSION = 5

# In the work folder of a unit that the brake stopped: what the next run needs to go on with the files there.
_CLEANED = "cleaned.json"
_ON_LIST = {"urls", "domains", "ids"}

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


def clean_unit(
    request: StageRequest[CleanConfig], files: Sequence[InputFile], lists: tuple[InputRecord, ...] | None = None
) -> Unit:
    """The unit of work that cleans these files into the partition of the request.

    Args:
        request: of the stage.
        files: what is read.
        lists: the lists that the settings name, where they were looked at before.

    Raises:
        InputError: a list that the settings name cannot be read.
    """
    return Unit(
        root=request.root,
        stage="clean",
        version=STAGE_VERSION,
        key=request.key(),
        table="documents",
        config=request.config,
        inputs=(*(file.record() for file in files), *(list_records(request.config.lists) if lists is None else lists)),
    )


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


def _from_scratch(
    unit: Unit,
    config: CleanConfig,
    files: Sequence[InputFile],
    engine: Engine,
    folder: Folder,
    takedowns: TakedownList,
) -> UnitOutput:
    from pipelines.cleaning.transform import CLEAN_TABLES, CleanPages
    from pipelines.engine.runner import run_pipeline
    from pipelines.engine.write_parts import staged_tables

    settings = ReadSettings.of(config)
    censuses = [take_census(file, settings) for file in files]
    work = [piece for census in censuses for piece in census.work]
    buckets = bucket_count(sum(census.payload_bytes for census in censuses))

    def build(pipeline: Any) -> Any:
        return pipeline | "Clean" >> CleanPages(work, unit.key, config, folder, buckets, takedowns=takedowns)

    run_pipeline(build, engine, "clean", folder)
    tables = staged_tables(folder, CLEAN_TABLES)
    lists = unit.inputs[len(files) :]
    return UnitOutput(
        tables=tables, counts=_counts(censuses, tables), inputs=(*(census.record for census in censuses), *lists)
    )


def _remember(folder: Folder, output: UnitOutput, takedowns: TakedownList) -> None:
    inputs = [record.model_dump() for record in output.inputs or ()]
    content = {"counts": output.counts, "inputs": inputs, "notes": output.notes}
    content["takedowns"] = takedowns.model_dump(mode="json", include=_ON_LIST)
    folder.put_whole(_CLEANED, json.dumps(content).encode())


def _remembered(folder: Folder, takedowns: TakedownList) -> UnitOutput | None:
    """What a brake stopped; None where nothing, or where pages were taken down since."""
    from pipelines.cleaning.transform import CLEAN_TABLES
    from pipelines.engine.write_parts import staged_tables

    if not folder.exists(_CLEANED):
        return None
    content = json.loads(folder.read(_CLEANED))
    if content["takedowns"] != takedowns.model_dump(mode="json", include=_ON_LIST):
        return None
    inputs = tuple(InputRecord.model_validate(record) for record in content["inputs"])
    tables = staged_tables(folder, CLEAN_TABLES)
    return UnitOutput(tables=tables, counts=content["counts"], notes=content["notes"], inputs=inputs)


def _clean(unit: Unit, config: CleanConfig, files: Sequence[InputFile], engine: Engine, folder: Folder) -> UnitOutput:
    """Clean the files, or only move rows where a run under other thresholds is there, or take up what a brake stopped.

    Raises:
        LossBrakeError: the rules dropped more than the settings allow.
    """
    takedowns = read_takedowns(unit.root)  # before anything is read: what comes later takes down what is committed
    output = _remembered(folder, takedowns)
    if output is not None:
        folder.remove(_CLEANED)  # from here on files may be committed, so that they are no longer all here
    else:
        folder.remove_tree()  # what a killed run left half done
        folder.make()
        earlier = earlier_run(unit, config, takedowns)
        if earlier:
            output = retune(unit, config, earlier, engine, folder, takedowns)
        else:
            output = _from_scratch(unit, config, files, engine, folder, takedowns)
    try:
        check_brake(unit.root, unit.key, config, output.counts, output.tables["dropped"])
    except LossBrakeError:
        _remember(folder, output, takedowns)
        raise
    return output


def run(request: StageRequest[CleanConfig]) -> StageResult:
    """Clean the inputs of the request into one partition, unless that is done.

    Raises:
        InputError: an input is missing, or source or partition are not named.
        LossBrakeError: the rules dropped more than the settings allow; nothing was committed.
        StageError: rows do not add up to the items counted, or a worker failed.
    """
    request = replace(request, config=with_pinned_classifier(request.config))
    config, files = request.config, input_files(request)
    named = [*config.lists.files(), *filter(None, [config.classifier])]
    request.engine.require_reachable([*(file.url for file in files), *named])
    unit = clean_unit(request, files)
    outcome = run_unit(
        unit,
        request.engine,
        lambda folder: _clean(unit, config, files, request.engine, folder),
        resumable=True,
    )
    return StageResult(stage="clean", outcomes=(outcome,))


def pending(request: StageRequest[CleanConfig]) -> int:
    """How many units `run` would do now: 0 or 1.

    Raises:
        InputError: an input is missing, or source or partition are not named.
    """
    request = replace(request, config=with_pinned_classifier(request.config))
    return int(clean_unit(request, input_files(request)).done() is None)
