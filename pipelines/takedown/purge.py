"""Taking pages out of the tables of one cleaned partition, as if they had been on the list when it was cleaned."""

from __future__ import annotations

import json
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.cleaning.row_counts import row_counts
from pipelines.cleaning.takedown_rows import takedown_row
from pipelines.engine.settings import Engine
from pipelines.engine.staging import StagedFile, StagedTable, stage_parquet
from pipelines.engine.unit import Unit, UnitOutput, run_unit
from pipelines.takedown.find import is_taken, taken_rows
from schemas.catalog import manifest_of, require_manifest
from schemas.configs.clean import CleanConfig
from schemas.corpus_root import MANIFEST_NAME, CorpusRoot, PartitionKey
from schemas.errors import StageError
from schemas.manifest import Manifest, read_manifest, write_manifest
from schemas.storage import Folder
from schemas.tables import DROPPED, TABLES
from schemas.takedown import TakedownList

__all__ = ["purge_partition"]

_STAGE = "clean"
_STAGED = "staged.json"
_SORTED_BY = {"documents": ["document_id"]}


def _part(place: Folder, name: str, table: str) -> pa.Table:
    with place.open_read(name) as stream:
        return pq.read_table(stream).cast(TABLES[table])


def _staged(
    root: CorpusRoot, key: PartitionKey, manifest: Manifest, takedowns: TakedownList, folder: Folder
) -> dict[str, StagedTable]:
    """The tables without the pages on the list, part by part: each in memory alone."""
    config = CleanConfig.model_validate(manifest.config)
    files: dict[str, list[StagedFile]] = {table: [] for table in manifest.tables}
    taken: dict[str, list[pa.Table]] = {}
    # `dropped` comes last: it takes in what leaves the others.
    for table in sorted(manifest.tables, key=lambda name: name == "dropped"):
        place, target = root.partition_folder(table, key), folder.child("staged", table)
        names = {file.name for file in manifest.tables[table].files}
        for name in sorted(names | (taken.keys() if table == "dropped" else set())):
            rows = _part(place, name, table) if name in names else DROPPED.empty_table()
            chosen = is_taken(rows, takedowns)
            kept = rows.filter(pa.array([not one for one in chosen], pa.bool_()))
            gone = rows.filter(pa.array(chosen, pa.bool_()))
            if gone.num_rows:
                made = [takedown_row(row, config) for row in gone.to_pylist()]
                taken.setdefault(name, []).append(pa.Table.from_pylist(made, schema=DROPPED))
            if table == "dropped":
                kept = pa.concat_tables([kept, *taken.get(name, [])])
            if kept.num_rows:
                files[table].append(stage_parquet(target, name, kept, _SORTED_BY.get(table)))
    return {table: StagedTable(folder.child("staged", table), tuple(staged)) for table, staged in files.items()}


def _saved_manifest(root: CorpusRoot, key: PartitionKey) -> Manifest | None:
    """The manifest of a partition whose takedown was killed while it committed; a commit takes the old one away."""
    work = root.work_folder(_STAGE, key)
    return next((read_manifest(work.child(name)) for name in work.find(MANIFEST_NAME)), None)


def _unit(root: CorpusRoot, key: PartitionKey, manifest: Manifest) -> Unit:
    return Unit(
        root=root,
        stage=_STAGE,
        version=manifest.stage_version,
        key=key,
        table="documents",
        config=CleanConfig.model_validate(manifest.config),
        inputs=manifest.inputs,
    )


def _remember(folder: Folder, manifest: Manifest, tables: dict[str, StagedTable]) -> None:
    """Write down what is about to be committed; from here on a kill is made good by `_bring_back`."""
    staged = {table: [asdict(file) for file in rows.files] for table, rows in tables.items()}
    folder.put_whole(_STAGED, json.dumps(staged).encode())
    write_manifest(folder, manifest)


def _bring_back(root: CorpusRoot, key: PartitionKey, folder: Folder) -> dict[str, StagedTable]:
    """The staged tables of a killed commit, with the files that it had moved already."""
    tables = {}
    for table, files in json.loads(folder.read(_STAGED)).items():
        place, target = folder.child("staged", table), root.partition_folder(table, key)
        here = set(place.names())
        for file in files:
            if file["name"] not in here:
                place.move_in(target, file["name"])
        tables[table] = StagedTable(place, tuple(StagedFile(**file) for file in files))
    return tables


def _output(manifest: Manifest, tables: dict[str, StagedTable]) -> UnitOutput:
    kept = {name: n for name, n in manifest.counts.items() if name.partition(".")[0] not in tables}
    return UnitOutput(tables=tables, counts=kept | row_counts(tables), notes=manifest.notes)


def purge_partition(root: CorpusRoot, key: PartitionKey, takedowns: TakedownList, engine: Engine) -> None:
    """Move the rows of pages on the list to `dropped/`, with rule `takedown` and without what was on the pages.

    The unit stays the unit that `clean` made, with its settings and inputs, so that `clean` finds it done. One that was
    killed while it committed is brought to its end first. Nothing happens where no row is of a page on the list, and
    where there is no partition: a later `clean` reads the list itself.

    Raises:
        LeaseError: another live run is working on the partition.
        StageError: rows got lost.
    """
    killed = _saved_manifest(root, key)
    if manifest_of(root, "documents", key) is None and killed is not None:
        saved = killed

        def finish(folder: Folder) -> UnitOutput:
            return _output(saved, _bring_back(root, key, folder))

        run_unit(_unit(root, key, saved), engine, finish, resumable=True, again=True)
    if next(taken_rows(root, takedowns, [key]), None) is None:
        return
    manifest = require_manifest(root, "documents", key)

    def work(folder: Folder) -> UnitOutput:
        tables = _staged(root, key, manifest, takedowns, folder)
        before, after = (sum(one.rows for one in rows.values()) for rows in (manifest.tables, tables))
        if before != after:
            raise StageError(f"takedown would make {after} rows of {before} in {key}; nothing was changed there")
        _remember(folder, manifest, tables)
        return _output(manifest, tables)

    run_unit(_unit(root, key, manifest), engine, work, again=True)
