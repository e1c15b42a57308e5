"""The walk of a whole graph: in this process where the budget holds its edges, else as a Beam job of Walk and Write.

The driver holds 30 bytes a document, and edges in batches; each worker one piece of the plan at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.dedup.walk import EDGE_BYTES, Part, Removed, Round, walk, walk_rounds
from pipelines.dedup.walk_plan import EdgeBatches, Piece, WalkPlan, plan_walk
from pipelines.engine.settings import Engine
from pipelines.engine.spill import BucketedSpill, SpillRef, read_spills
from schemas.storage import Folder

__all__ = ["walk_graph"]

_EDGES = pa.schema([pa.field(name, pa.int64(), nullable=False) for name in Part._fields])
_REMOVED = pa.schema([pa.field(name, pa.int64(), nullable=False) for name in Removed._fields])
_DONE = "walked"


@dataclass(frozen=True)
class _Task:
    """Pieces that one worker walks in order, each with the files of its edges; the same each time it is tried."""

    number: int
    documents: int
    pieces: tuple[tuple[Piece, tuple[SpillRef, ...]], ...]


def _parts(references: tuple[SpillRef, ...]) -> Iterator[Part]:
    for table in read_spills(references):
        yield Part(*(column.to_numpy() for column in table.columns))


def _whole(parts: Iterator[Part]) -> Part:
    return Part(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _rounds(task: _Task) -> Iterator[Round]:
    for piece, references in task.pieces:
        if references:
            parts = _parts(references)
            yield Round(piece.hub, parts if piece.hub is not None else [_whole(parts)])


def _walk_task(task: _Task) -> tuple[int, pa.Table]:
    removed = list(walk_rounds(np.ones(task.documents, dtype=bool), _rounds(task)))
    columns = [np.concatenate([np.empty(0, dtype=np.int64), *column]) for column in zip(*removed, strict=True)]
    return task.number, pa.Table.from_arrays([pa.array(column) for column in columns], schema=_REMOVED)


def _write_task(walked: tuple[int, pa.Table], folder_url: str) -> int:
    number, table = walked
    with (
        Folder(folder_url).child(_DONE).open_write(f"{number:06d}.arrow", durable=False) as stream,
        pa.ipc.new_stream(stream, table.schema) as writer,
    ):
        writer.write_table(table)
    return number


def _spilled(plan: WalkPlan, kept_before: NDArray[np.bool_], edges: EdgeBatches, folder: Folder) -> list[_Task]:
    """Write the edges of each piece to files of its own."""
    spill = BucketedSpill(folder.child("spill"))
    files: dict[int, list[SpillRef]] = {}
    written: list[Any] = []
    for lower, higher, number in _numbered(kept_before, edges):
        pieces = plan.piece_of[lower]
        order = np.argsort(pieces, kind="stable")
        columns = [pa.array(column[order]) for column in (lower, higher, number)]
        table = pa.Table.from_arrays(columns, schema=_EDGES)
        found, starts = np.unique(pieces[order], return_index=True)
        for piece, start, rows in zip(found, starts, np.diff(starts, append=len(order)), strict=True):
            written += spill.add("graph", int(piece), table.slice(int(start), int(rows)))
    for piece, (_, reference) in [*written, *spill.flush()]:
        files.setdefault(piece, []).append(reference)
    return [
        _Task(number, len(kept_before), tuple((piece, tuple(files.get(piece.number, ()))) for piece in pieces))
        for number, pieces in enumerate(plan.tasks)
        if any(piece.number in files for piece in pieces)
    ]


def _numbered(kept_before: NDArray[np.bool_], edges: EdgeBatches) -> Iterator[Part]:
    """All edges that can remove a document: those whose higher end is not gone already."""
    first = 0
    for lower, higher in edges():
        alive = kept_before[higher]
        yield Part(lower[alive], higher[alive], np.flatnonzero(alive) + first)
        first += len(lower)


def _run(tasks: list[_Task], folder: Folder, engine: Engine) -> None:
    import apache_beam as beam

    from pipelines.engine.runner import run_pipeline

    def build(pipeline: beam.Pipeline) -> Any:
        listed = pipeline | "List" >> beam.Create(tasks, reshuffle=False) | "Spread" >> beam.Reshuffle()
        return listed | "Walk" >> beam.Map(_walk_task) | "Write" >> beam.Map(_write_task, folder.url)

    run_pipeline(build, engine, "dedup-walk", folder)


def walk_graph(
    kept_before: NDArray[np.bool_], edges: EdgeBatches, count: int, budget: int, engine: Engine, folder: Folder
) -> Removed:
    """Decide all documents of a graph; the result depends on neither budget nor engine.

    Args:
        kept_before: by document in rank order: False where an earlier decision removed it, else True.
        edges: all edges; those decided earlier are no lower end. They are numbered in the order in which they come.
        count: how many edges there are.
        budget: bytes that a worker may use for edges.
        engine: where a graph over the budget is walked.
        folder: the unit's work folder.

    Returns:
        What goes, by document.
    """
    most = max(1, budget // EDGE_BYTES)
    if count <= most:
        none = np.empty(0, dtype=np.int64)
        lower, higher = (np.concatenate(side) for side in zip((none, none), *edges(), strict=True))
        removed = walk(kept_before, lower, higher)
    else:
        tasks = _spilled(plan_walk(len(kept_before), edges, most), kept_before, edges, folder)
        _run(tasks, folder, engine)
        done = folder.child(_DONE)
        references = [SpillRef(f"{done.url}/{task.number:06d}.arrow", 0) for task in tasks]
        found = pa.concat_tables([_REMOVED.empty_table(), *read_spills(references)])
        removed = Removed(*(column.to_numpy() for column in found.columns))
    order = np.argsort(removed.node)
    return Removed(removed.node[order], removed.edge[order])
