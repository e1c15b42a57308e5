"""Beam steps Group, Read, Compute, Group, Write: from candidate pairs to edges.

Pairs are grouped by the two files that hold their texts, the texts of these pairs alone are read, and pairs whose exact
similarity is at or above the threshold are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.typehints import with_output_types
from numpy.typing import NDArray

from pipelines.dedup.edge_job import EdgeJob
from pipelines.dedup.pair_blocks import PAIRS, unique_pairs
from pipelines.dedup.sign_documents import spilled
from pipelines.dedup.signed_files import SignedFile, read_texts
from pipelines.dedup.verification import similarities
from pipelines.engine.spill import NumberedRef, SpillRef, read_spills
from pipelines.engine.write_parts import GroupAndWriteParts, PartWriter
from schemas.tables import EDGES

__all__ = ["VerifyCandidates"]

_CHARACTER_BYTES = 20  # memory of one character while n-grams are numbered: 10 measured on pages, more on short words


@dataclass(frozen=True)
class _Comparison:
    """Pairs of documents of two files, and the texts that they need."""

    number: int
    left: SignedFile
    right: SignedFile
    pairs: pa.Table
    texts: list[str]
    left_text: NDArray[np.int64]  # by pair: number of the left text
    right_text: NDArray[np.int64]


class _ReadTexts(beam.DoFn):
    def __init__(self, job: EdgeJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[tuple[str, SpillRef]]]) -> Iterator[_Comparison]:
        number, references = element
        left, right = (self._job.files[place] for place in divmod(number, len(self._job.files)))
        found = pa.concat_tables([PAIRS.empty_table(), *read_spills(ref for _, ref in references)])
        pairs = unique_pairs(found)
        columns = (pairs["left_id"].combine_chunks(), pairs["right_id"].combine_chunks())
        if left == right:
            texts = read_texts(left.documents, pa.concat_arrays(columns).unique())
            places = [pc.index_in(column, value_set=texts["document_id"]).to_numpy() for column in columns]
        else:
            ones, others = (
                read_texts(file.documents, column.unique()) for file, column in zip((left, right), columns, strict=True)
            )
            places = [
                pc.index_in(columns[0], value_set=ones["document_id"]).to_numpy(),
                pc.index_in(columns[1], value_set=others["document_id"]).to_numpy() + ones.num_rows,
            ]
            texts = pa.concat_tables([ones, others])
        left_text, right_text = (place.astype(np.int64) for place in places)
        yield _Comparison(number, left, right, pairs, texts["text"].to_pylist(), left_text, right_text)


@with_output_types(NumberedRef)
class _ComputeSimilarities(beam.DoFn):
    def __init__(self, job: EdgeJob) -> None:
        self._job = job

    def start_bundle(self) -> None:
        self._spill = self._job.spill()

    def process(self, element: _Comparison) -> Iterator[NumberedRef]:
        config = self._job.config
        budget = self._job.memory_bytes // _CHARACTER_BYTES
        values = similarities(element.texts, element.left_text, element.right_text, config.ngram, budget)
        self._job.tally(f"files-{element.number:09d}", candidate_pairs=len(values))
        chosen = element.pairs.filter(pa.array(values >= config.threshold))
        rows = chosen.num_rows
        columns = {
            "left_id": chosen["left_id"],
            "right_id": chosen["right_id"],
            "right_source": pa.array([element.right.key.source] * rows, pa.string()),
            "right_partition": pa.array([element.right.key.partition] * rows, pa.string()),
            "similarity": pa.array(values[values >= config.threshold]),
            "band": chosen["band"],
        }
        edges = pa.Table.from_arrays(list(columns.values()), schema=EDGES)
        yield from self._spill.add("edges", element.left.documents.number, edges)

    def finish_bundle(self) -> Iterator[Any]:
        yield from spilled(self._spill.flush())


class VerifyCandidates(beam.PTransform):
    """References to blocks of pairs in; parts of `edges/`, with receipts below the work folder."""

    def __init__(self, job: EdgeJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, pairs: Any) -> Any:
        """Compose the steps Group, Read, Compute, Group and Write."""
        by_id = ["left_id", "right_source", "right_partition", "right_id"]
        return (
            pairs
            | "Group" >> beam.GroupByKey()
            | "Read" >> beam.ParDo(_ReadTexts(self._job))
            | "Compute" >> beam.ParDo(_ComputeSimilarities(self._job))
            | "Parts" >> GroupAndWriteParts(PartWriter(self._job.folder, {"edges": EDGES}, {"edges": by_id}))
        )
