"""The Beam graph of the stage `clean`: List, Read, Compute, Group, Write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import with_output_types
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.cleaning.rows import RowMaker, settle_repeats
from pipelines.engine.spill import BucketedSpill, NumberedRef, bucket_of
from pipelines.engine.write_parts import GroupAndWriteParts, PartWriter
from pipelines.sources.items import DeadItem, Item, WorkItem
from pipelines.sources.reader import read_items
from pipelines.sources.source_format import ReadSettings
from schemas.configs.clean import CleanConfig
from schemas.corpus_root import PartitionKey
from schemas.identity import content_hash
from schemas.storage import Folder
from schemas.tables import DEAD, DOCUMENTS, DROPPED
from schemas.takedown import TakedownList

__all__ = ["CLEAN_TABLES", "CleanPages", "ComputeRows", "ReadItems"]

CLEAN_TABLES = {"documents": DOCUMENTS, "dropped": DROPPED, "dead": DEAD}

# Rows turned into one Arrow table: enough that the conversion costs little beside extraction.
_BLOCK_ROWS = 256
# Share of a worker's memory for rows that wait to be spilled: 64 MiB by default.
_SPILL_SHARE = 24


class ReadItems(beam.DoFn):
    """Pieces of files in, their items out."""

    def __init__(self, settings: ReadSettings) -> None:
        self._settings = settings

    def process(self, element: WorkItem) -> Iterator[Item | DeadItem]:
        """Read one piece."""
        yield from read_items(element, self._settings)


@with_output_types(NumberedRef)
class ComputeRows(beam.DoFn):
    """Items in, references of spilled rows out, by bucket."""

    def __init__(
        self,
        key: PartitionKey,
        config: CleanConfig,
        folder: Folder,
        buckets: int,
        takedowns: TakedownList | None = None,
    ) -> None:
        self._takedowns = takedowns
        self._key = key
        self._config = config
        self._folder = folder
        self._buckets = buckets

    def setup(self) -> None:
        """Load the language model once a worker."""
        self._maker = RowMaker(self._key, self._config, self._takedowns)

    def start_bundle(self) -> None:
        """Begin with nothing pending."""
        self._spill = BucketedSpill(self._folder, self._config.worker_memory_bytes // _SPILL_SHARE)
        self._rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
        self._pending = 0

    def process(self, element: Item | DeadItem) -> Iterator[NumberedRef]:
        """Make the row of one item."""
        table, row = self._maker.row(element)
        # Rows without an id are spread by their URL: a crawl has as many of them as documents.
        identity = row.get("document_id") or content_hash(row["url"] or "")
        self._rows.setdefault((table, bucket_of(identity, self._buckets)), []).append(row)
        self._pending += 1
        if self._pending >= _BLOCK_ROWS:
            yield from self._to_spill()

    def _to_spill(self) -> Iterator[Any]:
        for (table, bucket), rows in self._rows.items():
            yield from self._spill.add(table, bucket, pa.Table.from_pylist(rows, schema=CLEAN_TABLES[table]))
        self._rows, self._pending = {}, 0

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Spill what is pending."""
        for reference in [*self._to_spill(), *self._spill.flush()]:
            yield WindowedValue(reference, 0, (GlobalWindow(),))


class CleanPages(beam.PTransform):
    """From pieces of input files to staged parts of `documents`, `dropped` and `dead`."""

    def __init__(
        self,
        work: Sequence[WorkItem],
        key: PartitionKey,
        config: CleanConfig,
        folder: Folder,
        buckets: int,
        stored: Sequence[NumberedRef] = (),
        takedowns: TakedownList | None = None,
    ) -> None:
        """Read `work`, save what was taken down; the rows behind `stored` are written beside those that come of it."""
        super().__init__()
        self._work = list(work)
        self._stored = list(stored)
        self._compute = ComputeRows(key, config, folder.child("spill"), buckets, takedowns)
        self._settings = ReadSettings.of(config)
        self._writer = PartWriter(folder, CLEAN_TABLES, {"documents": ["document_id"]}, finish=settle_repeats)

    def expand(self, pipeline: Any) -> Any:
        """Compose the steps."""
        computed = (
            pipeline
            | "List" >> beam.Create(self._work)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(ReadItems(self._settings))
            | "Compute" >> beam.ParDo(self._compute)
        )
        stored = pipeline | "Stored" >> beam.Create(self._stored).with_output_types(NumberedRef)
        return (computed, stored) | "Together" >> beam.Flatten() | GroupAndWriteParts(self._writer)
