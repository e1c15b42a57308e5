"""The stage `clean`: raw files to `documents/`, `dropped/` and `dead/` of one partition."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
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
from pipelines.sources.census import FileCensus, take_census
from pipelines.sources.inputs import InputFile, list_inputs
from schemas.configs.clean import CleanConfig
from schemas.errors import LossBrakeError
from schemas.manifest import InputRecord
from schemas.storage import Folder

__all__ = ["STAGE_VERSION", "clean_unit", "pending", "run"]

STAGE_VERSION = 3

# In the work folder of a unit that the brake stopped: what the next run needs to go on with the files there.
_CLEANED = "cleaned.json"


def clean_unit(request: StageRequest[CleanConfig], files: Sequence[InputFile]) -> Unit:
    """The unit of work that cleans these files into the partition of the request.

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
        inputs=(*(file.record() for file in files), *list_records(request.config.lists)),
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
    unit: Unit, config: CleanConfig, files: Sequence[InputFile], engine: Engine, folder: Folder
) -> UnitOutput:
    from pipelines.cleaning.transform import CLEAN_TABLES, CleanPages
    from pipelines.engine.runner import run_pipeline
    from pipelines.engine.write_parts import staged_tables

    censuses = [take_census(file) for file in files]
    work = [piece for census in censuses for piece in census.work]
    buckets = bucket_count(sum(census.payload_bytes for census in censuses))

    def build(pipeline: Any) -> Any:
        return pipeline | "Clean" >> CleanPages(work, unit.key, config, folder, buckets)

    run_pipeline(build, engine, "clean", folder)
    tables = staged_tables(folder, CLEAN_TABLES)
    lists = unit.inputs[len(files) :]
    return UnitOutput(
        tables=tables, counts=_counts(censuses, tables), inputs=(*(census.record for census in censuses), *lists)
    )


def _remember(folder: Folder, output: UnitOutput) -> None:
    inputs = [record.model_dump() for record in output.inputs or ()]
    content = {"counts": output.counts, "inputs": inputs, "notes": output.notes}
    folder.put_whole(_CLEANED, json.dumps(content).encode())


def _remembered(folder: Folder) -> UnitOutput:
    from pipelines.cleaning.transform import CLEAN_TABLES
    from pipelines.engine.write_parts import staged_tables

    content = json.loads(folder.read(_CLEANED))
    inputs = tuple(InputRecord.model_validate(record) for record in content["inputs"])
    tables = staged_tables(folder, CLEAN_TABLES)
    return UnitOutput(tables=tables, counts=content["counts"], notes=content["notes"], inputs=inputs)


def _clean(unit: Unit, config: CleanConfig, files: Sequence[InputFile], engine: Engine, folder: Folder) -> UnitOutput:
    """Clean the files, or only move rows where a run under other thresholds is there, or take up what a brake stopped.

    Raises:
        LossBrakeError: the rules dropped more than the settings allow.
    """
    if folder.exists(_CLEANED):
        output = _remembered(folder)
        folder.remove(_CLEANED)  # from here on files may be committed, so that they are no longer all here
    else:
        folder.remove_tree()  # what a killed run left half done
        folder.make()
        earlier = earlier_run(unit, config)
        if earlier:
            output = retune(unit, config, earlier, engine, folder)
        else:
            output = _from_scratch(unit, config, files, engine, folder)
    try:
        check_brake(unit.root, unit.key, config, output.counts, output.tables["dropped"])
    except LossBrakeError:
        _remember(folder, output)
        raise
    return output


def run(request: StageRequest[CleanConfig]) -> StageResult:
    """Clean the inputs of the request into one partition, unless that is done.

    Raises:
        InputError: an input is missing, or source or partition are not named.
        LossBrakeError: the rules dropped more than the settings allow; nothing was committed.
        StageError: rows do not add up to the items counted, or a worker failed.
    """
    files = list_inputs(request.inputs)
    request.engine.require_reachable([*(file.url for file in files), *request.config.lists.files()])
    unit = clean_unit(request, files)
    outcome = run_unit(
        unit,
        request.engine,
        lambda folder: _clean(unit, request.config, files, request.engine, folder),
        resumable=True,
    )
    return StageResult(stage="clean", outcomes=(outcome,))


def pending(request: StageRequest[CleanConfig]) -> int:
    """How many units `run` would do now: 0 or 1.

    Raises:
        InputError: an input is missing, or source or partition are not named.
    """
    return int(clean_unit(request, list_inputs(request.inputs)).done() is None)
