"""Cleaning a partition that was cleaned before under other thresholds: moving rows, and reading few items again."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.cleaning.rejudge import resettle, same_but_thresholds
from pipelines.cleaning.reread import bucket_of_part, work_at
from pipelines.cleaning.row_counts import check_conservation, counts_besides_rows, items_of, row_counts
from pipelines.engine.settings import Engine
from pipelines.engine.spill import BucketedSpill, SpillRef, bucket_count
from pipelines.engine.unit import Unit, UnitOutput
from pipelines.takedown.find import taken_rows
from schemas.configs.clean import CleanConfig
from schemas.manifest import Manifest, read_manifest
from schemas.storage import Folder
from schemas.tables import DEAD, DOCUMENTS, DROPPED
from schemas.takedown import TakedownList

__all__ = ["earlier_run", "retune"]

_SCHEMAS = {"documents": DOCUMENTS, "dropped": DROPPED, "dead": DEAD}


def earlier_run(unit: Unit, config: CleanConfig, takedowns: TakedownList) -> tuple[Manifest, CleanConfig] | None:
    """The committed partition and its settings, if it was made of the same inputs and differs in thresholds alone.

    None too where a page was taken down, or is on the list and still there: what the other rules would say of its row
    is not stored, nor which of its repeats would stand in for it.
    """
    manifest = read_manifest(unit.folder())
    if manifest is None or manifest.stage_version != unit.version:
        return None
    wanted = {(record.name, record.digest) for record in unit.inputs}
    if {(record.name, record.digest) for record in manifest.inputs} != wanted:
        return None
    old = same_but_thresholds(manifest, config)
    if old is None or (takedowns and any(taken_rows(unit.root, takedowns, [unit.key]))):
        return None
    return manifest, old


def _parts(unit: Unit, manifest: Manifest, table: str) -> dict[int, str]:
    record = manifest.tables.get(table)
    return {bucket_of_part(file.name): file.name for file in record.files} if record else {}


def _read(unit: Unit, table: str, name: str | None) -> pa.Table:
    if name is None:
        return _SCHEMAS[table].empty_table()
    with unit.root.partition_folder(table, unit.key).open_read(name) as stream:
        return pq.read_table(stream)


def retune(
    unit: Unit,
    config: CleanConfig,
    earlier: tuple[Manifest, CleanConfig],
    engine: Engine,
    folder: Folder,
    takedowns: TakedownList,
) -> UnitOutput:
    """Write the partition as cleaning from scratch under `config` would.

    Raises:
        InputError: an input is missing, or its bytes are not those that were cleaned.
        StageError: rows do not add up to the items counted, or a worker failed.
    """
    from pipelines.cleaning.transform import CLEAN_TABLES, CleanPages
    from pipelines.engine.runner import run_pipeline
    from pipelines.engine.write_parts import staged_tables

    manifest, old = earlier
    parts = {table: _parts(unit, manifest, table) for table in _SCHEMAS}
    spill = BucketedSpill(folder.child("spill"))
    stored: list[tuple[int, tuple[str, SpillRef]]] = []
    again: defaultdict[str, set[int]] = defaultdict(set)
    moved = 0
    for bucket in sorted({bucket for names in parts.values() for bucket in names}):
        tables = {table: _read(unit, table, names.get(bucket)) for table, names in parts.items()}
        settled = resettle(tables["documents"], tables["dropped"], old, config)
        moved += settled.moved
        for url, offsets in settled.again.items():
            again[url] |= offsets
        rows = {"documents": settled.documents, "dropped": settled.dropped, "dead": tables["dead"]}
        for table, content in rows.items():
            stored += spill.add(table, bucket, content)
    stored += spill.flush()
    pieces = work_at(again, manifest, config)
    buckets = bucket_count(manifest.counts["payload_bytes"])

    def build(pipeline: Any) -> Any:
        return pipeline | "Retune" >> CleanPages(pieces, unit.key, config, folder, buckets, stored, takedowns)

    run_pipeline(build, engine, "retune", folder)
    staged = staged_tables(folder, CLEAN_TABLES)
    check_conservation(items_of(manifest), staged)
    return UnitOutput(
        tables=staged,
        counts=counts_besides_rows(manifest) | row_counts(staged),
        inputs=manifest.inputs,
        notes={"retuned": {"moved": moved, "read_again": sum(map(len, again.values()))}},
    )
