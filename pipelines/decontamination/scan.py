"""The Beam job that finds n-grams of evaluation items in the kept documents of a partition.

List, Read, Compute, Group, Write: one part of `overlaps/` for each part of `documents/`. Text is read where it lies and
never shuffled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import with_output_types
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.decontamination.lookup import Lookup
from pipelines.decontamination.words import Punctuation
from pipelines.engine.runner import run_pipeline
from pipelines.engine.settings import Engine
from pipelines.engine.spill import BucketedSpill, NumberedRef
from pipelines.engine.write_parts import GroupAndWriteParts, PartWriter
from schemas.catalog import read_table
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.storage import Folder
from schemas.tables import OVERLAPS

__all__ = ["ScanJob", "overlaps_of", "run_scan"]

_BLOCK_ROWS = 256  # 256 web pages are about 1 MB of text
# Characters searched at once: the largest arrays of a search take about 30 bytes a word, so 24 MiB for 2^22 characters.
_SEARCHED_CHARACTERS = 2**22


@dataclass(frozen=True)
class ScanJob:
    """What the steps know.

    Attributes:
        root: the corpus.
        key: the partition.
        lookup: the folder of the n-grams.
        punctuation: as the n-grams were made.
        folder: the unit's work folder.
    """

    root: CorpusRoot
    key: PartitionKey
    lookup: Folder
    punctuation: Punctuation
    folder: Folder


def _search(lookup: Lookup, texts: Sequence[str]) -> Iterator[list[Any]]:
    """The matches of each text; texts are searched together up to a number of characters."""
    begin = size = 0
    for number, text in enumerate(texts):
        if size + len(text) > _SEARCHED_CHARACTERS and number > begin:
            yield from lookup.find(texts[begin:number])
            begin, size = number, 0
        size += len(text)
    yield from lookup.find(texts[begin:])


def overlaps_of(lookup: Lookup, documents: pa.Table) -> pa.Table:
    """Rows of `overlaps/` for documents (`document_id`, `text`), in their order."""
    texts = documents.column("text").to_pylist()
    rows = [
        {"document_id": identity, "characters": len(text), "ngram": one.ngram, "start": one.start, "end": one.end}
        for identity, text, found in zip(
            documents.column("document_id").to_pylist(), texts, _search(lookup, texts), strict=True
        )
        for one in found
    ]
    return pa.Table.from_pylist(rows, schema=OVERLAPS)


@with_output_types(tuple[int, pa.Table])
class _Read(beam.DoFn):
    """A file of documents in, its kept rows out."""

    def __init__(self, job: ScanJob) -> None:
        self._job = job
        self._removed: frozenset[bytes] = frozenset()

    def setup(self) -> None:
        duplicates = read_table(self._job.root, "duplicates", self._job.key, ["removed_id"])
        self._removed = frozenset(duplicates.column("removed_id").to_pylist())

    def process(self, element: tuple[int, str]) -> Iterator[tuple[int, pa.Table]]:
        number, name = element
        folder = self._job.root.partition_folder("documents", self._job.key)
        with folder.open_read(name) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(_BLOCK_ROWS, columns=["document_id", "text"]):
                kept = [one not in self._removed for one in batch.column("document_id").to_pylist()]
                yield number, pa.Table.from_batches([batch]).filter(pa.array(kept, pa.bool_()))


@with_output_types(NumberedRef)
class _Compute(beam.DoFn):
    """A block of documents in; references to spilled rows of `overlaps/` out."""

    def __init__(self, job: ScanJob) -> None:
        self._job = job

    def setup(self) -> None:
        self._lookup = Lookup(self._job.lookup, self._job.punctuation)

    def start_bundle(self) -> None:
        self._spill = BucketedSpill(self._job.folder.child("spill"))

    def process(self, element: tuple[int, pa.Table]) -> Iterator[NumberedRef]:
        number, documents = element
        yield from self._spill.add("overlaps", number, overlaps_of(self._lookup, documents))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for reference in self._spill.flush():
            yield WindowedValue(reference, MIN_TIMESTAMP, (GlobalWindow(),))


def run_scan(job: ScanJob, parts: Sequence[str], engine: Engine) -> None:
    """Search the named files of documents and leave `overlaps/` staged below the job's folder.

    Raises:
        StageError: the pipeline failed.
        ContractError: the files of the n-grams are damaged.
    """

    def build(pipeline: beam.Pipeline) -> Any:
        writer = PartWriter(job.folder, {"overlaps": OVERLAPS}, {"overlaps": ["document_id", "start", "end"]})
        return (
            pipeline
            | "List" >> beam.Create(list(enumerate(parts)))
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_Read(job))
            | "Compute" >> beam.ParDo(_Compute(job))
            | "Parts" >> GroupAndWriteParts(writer)
        )

    run_pipeline(build, engine, "decontaminate-overlaps", job.folder)
