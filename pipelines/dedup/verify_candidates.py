"""Beam steps Group, Read, Compute twice, then Group and Write: from candidate pairs to edges.

The left texts of pairs are read file by file and travel, as hashed sets, to the files of their right ones. Each file is
read twice at most, and each set travels once per group of files that it has partners in, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.typehints import with_output_types

from pipelines.dedup.edge_job import EdgeJob
from pipelines.dedup.pair_blocks import by_group, portion, unique_pairs
from pipelines.dedup.set_blocks import joined_pairs, left_sets
from pipelines.dedup.sign_documents import spilled
from pipelines.dedup.signed_files import read_texts
from pipelines.dedup.verification import comparable_sets, similarities
from pipelines.engine.spill import NumberedRef, SpillRef, read_spills
from pipelines.engine.write_parts import GroupAndWriteParts, PartWriter
from schemas.tables import EDGES, ID

__all__ = ["VerifyCandidates"]

_PAIR_BYTES = 200  # memory of one pair while repeats of it are looked for: 40 bytes as Arrow, and a hash table
# Memory of a byte of text beside its sets: itself, 1.5 bytes of hashes in each order, and what it is decoded from.
_TEXT_BYTES = 6


def _split(tables: Iterable[pa.Table], budget: int) -> Iterator[pa.Table]:
    """Tables joined until their buffers have `budget` bytes."""
    pending: list[pa.Table] = []
    for table in tables:
        pending.append(table)
        if sum(one.nbytes for one in pending) >= budget:
            yield pa.concat_tables(pending)
            pending = []
    if pending:
        yield pa.concat_tables(pending)


@dataclass(frozen=True)
class _LeftTexts:
    """Some texts of a file, and the pairs whose left texts they are."""

    pairs: pa.Table
    texts: pa.Table
    file: int


class _ReadLeft(beam.DoFn):
    def __init__(self, job: EdgeJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[tuple[str, SpillRef]]]) -> Iterator[_LeftTexts]:
        file, found = element
        references = [reference for _, reference in found]
        rows = sum(reference.rows for reference in references)
        portions = -(-rows * _PAIR_BYTES // self._job.memory_bytes)
        for number in range(portions):
            blocks = (portion(block, "left_id", number, portions) for block in read_spills(references))
            pairs = unique_pairs(pa.concat_tables(blocks))
            texts = read_texts(self._job.files[file].documents, pairs["left_id"].combine_chunks().unique())
            for some in _split(texts, self._job.memory_bytes // _TEXT_BYTES):
                chosen = pairs.filter(pc.is_in(pairs["left_id"], value_set=some["document_id"].combine_chunks()))
                yield _LeftTexts(chosen, some, file)


@with_output_types(NumberedRef)
class _ComputeLeftSets(beam.DoFn):
    def __init__(self, job: EdgeJob) -> None:
        self._job = job
        sizes = [len(group) for group in job.groups()]
        self._groups = np.repeat(np.arange(len(sizes)), sizes)

    def start_bundle(self) -> None:
        self._spill = self._job.spill()

    def process(self, element: _LeftTexts) -> Iterator[NumberedRef]:
        sets = comparable_sets(element.texts["text"].combine_chunks(), self._job.config)
        for group, rows in left_sets(element.pairs, element.texts["document_id"], sets, element.file, self._groups):
            yield from self._spill.add("sets", group, rows)

    def finish_bundle(self) -> Iterator[Any]:
        yield from spilled(self._spill.flush())


@dataclass(frozen=True)
class _RightTexts:
    """Some texts of a group of files, and where the sets lie that they are to be compared with."""

    group: int
    number: int
    texts: pa.Table  # `document_id`, `text` and `file`
    left: Sequence[SpillRef]


class _ReadRight(beam.DoFn):
    def __init__(self, job: EdgeJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[tuple[str, SpillRef]]]) -> Iterator[_RightTexts]:
        group, found = element
        references = [reference for _, reference in found]
        texts = self._texts(self._named(references))
        for number, some in enumerate(_split(texts, self._job.memory_bytes // _TEXT_BYTES)):
            yield _RightTexts(group, number, some, references)

    def _named(self, references: Sequence[SpillRef]) -> pa.Table:
        """The right texts of sets: `file` and `document_id`, one row each."""
        named = pa.schema([("file", pa.int32()), ("document_id", ID)]).empty_table()
        for rows in read_spills(references):
            columns = [pc.list_flatten(rows[name]) for name in ("right_files", "right_ids")]
            named = pa.concat_tables([named, pa.table(columns, schema=named.schema)])
            named = named.group_by(named.column_names).aggregate([])
        return named

    def _texts(self, named: pa.Table) -> Iterator[pa.Table]:
        for file, rows in by_group(named, named["file"].to_numpy()):
            for texts in read_texts(self._job.files[file].documents, rows["document_id"].combine_chunks()):
                yield texts.append_column("file", pa.array(np.full(texts.num_rows, file, dtype=np.int64)))


@with_output_types(NumberedRef)
class _ComputeSimilarities(beam.DoFn):
    def __init__(self, job: EdgeJob) -> None:
        self._job = job
        keys = [file.key for file in job.files]
        self._names = pa.table({"source": [one.source for one in keys], "partition": [one.partition for one in keys]})

    def start_bundle(self) -> None:
        self._spill = self._job.spill()

    def process(self, element: _RightTexts) -> Iterator[NumberedRef]:
        config, count = self._job.config, 0
        right = comparable_sets(element.texts["text"].combine_chunks(), config)
        for rows in read_spills(element.left):
            left, pairs = joined_pairs(rows, element.texts)
            values = similarities(left, right, (pairs.left_set, pairs.right_set), config.threshold)
            count += len(values)
            alike = np.flatnonzero(values >= config.threshold)
            names = self._names.take(pa.array(pairs.right_files[alike]))
            similar = {
                "left_id": pairs.left_ids.take(pa.array(alike)),
                "right_id": pairs.right_ids.take(pa.array(alike)),
                "right_source": names["source"],
                "right_partition": names["partition"],
                "similarity": pa.array(values[alike]),
                "band": pairs.bands.take(pa.array(alike)),
            }
            edges = pa.Table.from_arrays(list(similar.values()), schema=EDGES)
            files = pairs.left_files[alike]
            for file in np.unique(files).tolist():
                part = self._job.files[file].documents.number
                yield from self._spill.add("edges", part, edges.filter(pa.array(files == file)))
        self._job.tally(f"right-{element.group:09d}-{element.number:06d}", candidate_pairs=count)

    def finish_bundle(self) -> Iterator[Any]:
        yield from spilled(self._spill.flush())


class VerifyCandidates(beam.PTransform):
    """References to blocks of pairs in; parts of `edges/`, with receipts below the work folder."""

    def __init__(self, job: EdgeJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, pairs: Any) -> Any:
        """Compose the steps Group, Read and Compute for left and for right texts, then Group and Write."""
        by_id = ["left_id", "right_source", "right_partition", "right_id"]
        return (
            pairs
            | "GroupByLeft" >> beam.GroupByKey()
            | "ReadLeft" >> beam.ParDo(_ReadLeft(self._job))
            | "ComputeSets" >> beam.ParDo(_ComputeLeftSets(self._job))
            | "GroupByRight" >> beam.GroupByKey()
            | "ReadRight" >> beam.ParDo(_ReadRight(self._job))
            | "Compute" >> beam.ParDo(_ComputeSimilarities(self._job))
            | "Parts" >> GroupAndWriteParts(PartWriter(self._job.folder, {"edges": EDGES}, {"edges": by_id}))
        )
