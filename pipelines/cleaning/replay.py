"""Running dead letters again, after what killed them was mended.

The items are found by their address and read with the settings that the partition was made with; what becomes of them
is written together with the rows that are there already. What lies behind the last whole record of a damaged file is
no item that could be read again: a mended file is another input, which `clean` notices by itself.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.cleaning.lists.list_files import LIST_PREFIX, list_records
from pipelines.cleaning.reread import Addresses, bucket_of_part, work_at
from pipelines.cleaning.row_counts import check_conservation, counts_besides_rows, items_of, row_counts
from pipelines.engine.settings import Engine
from pipelines.engine.spill import BucketedSpill, SpillRef, bucket_count
from pipelines.engine.stage import StageResult
from pipelines.engine.unit import Unit, UnitOutcome, UnitOutput, run_unit
from schemas.catalog import read_table, require_manifest, units
from schemas.configs.clean import CleanConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError
from schemas.manifest import Manifest
from schemas.storage import Folder
from schemas.takedown import read_takedowns

__all__ = ["replay"]

_REST = "damaged-rest"


def _is_chosen(dead: pa.Table, error: str | None) -> pa.Array:
    chosen = pc.not_equal(dead.column("error"), _REST)
    return chosen if error is None else pc.and_(chosen, pc.equal(dead.column("error"), error))


def _addresses(root: CorpusRoot, key: PartitionKey, error: str | None) -> Addresses:
    dead = read_table(root, "dead", key, ["record_file", "record_offset", "error"])
    found: Addresses = defaultdict(set)
    for row in dead.filter(_is_chosen(dead, error)).to_pylist():
        found[row["record_file"]].add(row["record_offset"])
    return found


def _stored_rows(
    root: CorpusRoot, key: PartitionKey, manifest: Manifest, folder: Folder, error: str | None
) -> list[tuple[int, tuple[str, SpillRef]]]:
    """The committed rows but those that are run again, spilled by bucket."""
    references = []
    spill = BucketedSpill(folder.child("spill"))
    for table, record in manifest.tables.items():
        place = root.partition_folder(table, key)
        for file in record.files:
            with place.open_read(file.name) as stream:
                rows = pq.read_table(stream)
            if table == "dead":
                rows = rows.filter(pc.invert(_is_chosen(rows, error)))
            references += spill.add(table, bucket_of_part(file.name), rows)
    return references + spill.flush()


def _check_lists(config: CleanConfig, manifest: Manifest) -> None:
    known = {record for record in manifest.inputs if record.name.startswith(LIST_PREFIX)}
    changed = sorted(record.name for record in known.symmetric_difference(list_records(config.lists)))
    if changed:
        raise InputError(
            f"the list {changed[0].removeprefix(LIST_PREFIX)} has changed since {manifest.source}/{manifest.partition} "
            "was cleaned; run clean on the partition again"
        )


def _replay_partition(root: CorpusRoot, key: PartitionKey, engine: Engine, error: str | None) -> UnitOutcome:
    manifest = require_manifest(root, "documents", key)
    config = CleanConfig.model_validate(manifest.config)
    _check_lists(config, manifest)
    unit = Unit(
        root=root,
        stage="clean",
        version=manifest.stage_version,
        key=key,
        table="documents",
        config=config,
        inputs=manifest.inputs,
    )

    def work(folder: Folder) -> UnitOutput:
        from pipelines.cleaning.transform import CLEAN_TABLES, CleanPages
        from pipelines.engine.runner import run_pipeline
        from pipelines.engine.write_parts import staged_tables

        pieces = work_at(_addresses(root, key, error), manifest, config)
        stored = _stored_rows(root, key, manifest, folder, error)
        buckets = bucket_count(manifest.counts["payload_bytes"])
        takedowns = read_takedowns(root)

        def build(pipeline: Any) -> Any:
            return pipeline | "Replay" >> CleanPages(pieces, key, config, folder, buckets, stored, takedowns)

        run_pipeline(build, engine, "replay", folder)
        tables = staged_tables(folder, CLEAN_TABLES)
        check_conservation(items_of(manifest), tables)
        counts = counts_besides_rows(manifest) | row_counts(tables)
        return UnitOutput(tables=tables, counts=counts, notes=manifest.notes)

    return run_unit(unit, engine, work, again=True)


def replay(root: CorpusRoot, engine: Engine, error: str | None = None) -> StageResult:
    """Run the items behind dead letters again, and move those that pass from `dead/` to the table they belong to.

    Args:
        root: the corpus; every cleaned partition in it is looked at.
        engine: where the pipelines run.
        error: name of the dead letters to run, such as `too-large`; None for all.

    Returns:
        One outcome for each partition that had such dead letters.

    Raises:
        InputError: an input or a list is missing, or has changed since it was cleaned.
        StageError: rows do not add up to the items counted, or a worker failed.
        LeaseError: another live run is working on a partition.
    """
    wanted = [key for key in units(root, "dead") if _addresses(root, key, error)]
    outcomes = tuple(_replay_partition(root, key, engine, error) for key in wanted)
    return StageResult(stage="clean", outcomes=outcomes)
