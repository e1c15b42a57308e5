"""Beam steps Read, Compute, Group, Pair: from signatures to the pairs of documents that meet in a band.

Signatures become band keys, keys are grouped by ranges of their hash, and documents that meet under a key are paired.
Of earlier partitions that have an index the keys come from there, and only those that a document of the new one may
have (`band_index.py`); the keys of the new one are written as its index.
A group holds references to files of keys; one range of keys is in the memory of a worker at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.typehints import with_output_types

from pipelines.dedup.band_index import KeyFilter, band_rows, looked_up
from pipelines.dedup.banding import pairs_that_meet
from pipelines.dedup.edge_job import FILTER_NAME, EdgeJob
from pipelines.dedup.pair_blocks import BAND_KEYS, grouped_keys, key_blocks, meeting_of, pair_blocks, together
from pipelines.dedup.sign_documents import spilled
from pipelines.dedup.signed_files import SignedFile
from pipelines.engine.spill import NumberedRef, SpillRef, read_spills
from pipelines.engine.write_parts import GroupAndWriteParts, PartWriter
from schemas.storage import Folder
from schemas.tables import BANDS

__all__ = ["FindCandidates"]

_BLOCK_ROWS = 4096  # signatures of one block: 3.5 MB at 108 permutations
_KEYS_AT_ONCE = 2**17  # found in the index and grouped together: 10 MB
# Memory of one band key while its range is paired: 56 bytes as Arrow, as much again as arrays, and the sort orders.
_KEY_BYTES = 250


@with_output_types(tuple[int, pa.Table])
class _ReadSignatures(beam.DoFn):
    def process(self, element: list[SignedFile]) -> Iterator[tuple[int, pa.Table]]:
        columns = ["document_id", "content_hash", "shingles", "set_hash", "signature"]
        for file in element:
            if not file.bands_url:
                with Folder(file.folder_url).open_read(file.name) as stream:
                    for batch in pq.ParquetFile(stream).iter_batches(_BLOCK_ROWS, columns=columns):
                        rows = pa.Table.from_batches([batch])
                        yield file.number, rows.filter(pc.greater(rows["shingles"], 0))


@with_output_types(NumberedRef)
class _ComputeBandKeys(beam.DoFn):
    def __init__(self, job: EdgeJob, ranges: int) -> None:
        self._job = job
        self._ranges = ranges

    def start_bundle(self) -> None:
        self._spill = self._job.spill()

    def process(self, element: tuple[int, pa.Table]) -> Iterator[NumberedRef]:
        file, signatures = element
        for number, block in key_blocks(signatures, file, self._job.config.banding, self._ranges):
            yield from self._spill.add("keys", number, block)

    def finish_bundle(self) -> Iterator[Any]:
        yield from spilled(self._spill.flush())


@with_output_types(NumberedRef)
class _LookUp(beam.DoFn):
    def __init__(self, job: EdgeJob, ranges: int) -> None:
        self._job = job
        self._ranges = ranges

    def setup(self) -> None:
        self._keys: KeyFilter | None = None

    def start_bundle(self) -> None:
        self._spill = self._job.spill()

    def process(self, element: list[SignedFile]) -> Iterator[NumberedRef]:
        found = (rows for file in element if file.bands_url for rows in self._looked_up(file))
        for some in together(found, _KEYS_AT_ONCE):
            for number, block in grouped_keys(some, self._ranges):
                yield from self._spill.add("keys", number, block)

    def _looked_up(self, file: SignedFile) -> Iterator[pa.Table]:
        if self._keys is None:
            self._keys = KeyFilter.from_bytes(self._job.folder.read(FILTER_NAME))
        yield from looked_up(file, self._keys, self._job.config.banding.bands)

    def finish_bundle(self) -> Iterator[Any]:
        yield from spilled(self._spill.flush())


@with_output_types(NumberedRef)
class _ComputeIndex(beam.DoFn):
    def __init__(self, job: EdgeJob) -> None:
        self._job = job
        self._parts = {file.number: file.documents.number for file in job.files if file.order == job.position}

    def start_bundle(self) -> None:
        self._spill = self._job.spill()

    def process(self, element: tuple[int, pa.Table]) -> Iterator[NumberedRef]:
        file, signatures = element
        if file in self._parts and signatures.num_rows:
            rows = band_rows(signatures, self._job.config.banding)
            yield from self._spill.add("bands", self._parts[file], rows)

    def finish_bundle(self) -> Iterator[Any]:
        yield from spilled(self._spill.flush())


@with_output_types(NumberedRef)
class _PairKeys(beam.DoFn):
    def __init__(self, job: EdgeJob) -> None:
        self._job = job
        self._orders = np.array([file.order for file in job.files], dtype=np.int64)

    def start_bundle(self) -> None:
        self._spill = self._job.spill()

    def process(self, element: tuple[int, Iterable[tuple[str, SpillRef]]]) -> Iterator[NumberedRef]:
        number, references = element
        keys = self._keys_that_meet([ref for _, ref in references])
        config = self._job.config
        meeting = meeting_of(keys, self._orders)
        left_out, portions = pairs_that_meet(meeting, self._job.position, config.max_bucket, config.threshold)
        self._job.tally(f"range-{number:06d}", pairs_not_compared=left_out)
        for pairs in portions:
            for file, block in pair_blocks(keys, pairs):
                yield from self._spill.add("pairs", file, block)

    def _keys_that_meet(self, references: list[SpillRef]) -> pa.Table:
        """The keys of a range that a document of the new partition has, read twice so that no others are held."""
        own = [np.empty(0, dtype=np.uint64)]
        for block in read_spills(references):
            mine = self._orders[block["file"].to_numpy()] == self._job.position
            own.append(block["key"].to_numpy()[mine])
        wanted = np.unique(np.concatenate(own))
        met = (block.filter(pa.array(np.isin(block["key"].to_numpy(), wanted))) for block in read_spills(references))
        return pa.concat_tables([BAND_KEYS.empty_table(), *met])

    def finish_bundle(self) -> Iterator[Any]:
        yield from spilled(self._spill.flush())


class FindCandidates(beam.PTransform):
    """Groups of signed files in; references to blocks of pairs by the file of their left texts."""

    def __init__(self, job: EdgeJob, documents: int) -> None:
        """See the class; `documents` is how many documents have signatures in the job's files."""
        super().__init__()
        self._job = job
        wanted = -(-documents * job.config.banding.bands * _KEY_BYTES // job.memory_bytes)
        self._ranges = 1 << max(0, wanted - 1).bit_length()

    def expand(self, files: Any) -> Any:
        """Compose the steps Read, Compute, Group and Pair."""
        signatures = files | "Read" >> beam.ParDo(_ReadSignatures())
        writer = PartWriter(self._job.folder, {"bands": BANDS}, {"bands": ["document_id"]})
        _ = signatures | "Index" >> beam.ParDo(_ComputeIndex(self._job)) | "IndexParts" >> GroupAndWriteParts(writer)
        keys = (
            signatures | "Compute" >> beam.ParDo(_ComputeBandKeys(self._job, self._ranges)),
            files | "LookUp" >> beam.ParDo(_LookUp(self._job, self._ranges)),
        )
        return (
            keys
            | "Flatten" >> beam.Flatten()
            | "Group" >> beam.GroupByKey()
            | "Pair" >> beam.ParDo(_PairKeys(self._job))
        )
