"""The last two steps of every stage that writes Parquet: group references by bucket, write one part a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa

from pipelines.engine.spill import SpillRef, read_spills
from pipelines.engine.staging import StagedFile, StagedTable, part_name, stage_parquet
from schemas.storage import Folder

__all__ = ["GroupAndWriteParts", "PartWriter", "staged_tables", "write_receipt"]

Tables = dict[str, pa.Table]
_RECEIPT = ".receipt.json"


@dataclass(frozen=True)
class PartWriter:
    """How a bucket's rows become parts.

    Attributes:
        folder: the unit's work folder; parts of a table lie in a folder of its name below it.
        schemas: Arrow schema by table; every table of the stage.
        sort_by: columns by table under which the rows of a part are sorted.
        finish: what is still to be done when all rows of a bucket are together (repeats, for example); a function
            of an importable module.
    """

    folder: Folder
    schemas: dict[str, pa.Schema]
    sort_by: dict[str, list[str]]
    finish: Callable[[Tables], Tables] | None = None

    def write(self, bucket: int, references: Iterable[tuple[str, SpillRef]]) -> Iterator[tuple[str, StagedFile]]:
        """Write the parts of one bucket; tables without rows there get none."""
        by_table: dict[str, list[SpillRef]] = {name: [] for name in self.schemas}
        for table_name, reference in references:
            by_table[table_name].append(reference)
        tables = {
            name: pa.concat_tables([schema.empty_table(), *(t.cast(schema) for t in read_spills(by_table[name]))])
            for name, schema in self.schemas.items()
        }
        if self.finish is not None:
            tables = self.finish(tables)
        for name, table in tables.items():
            if table.num_rows:
                folder = self.folder.child("staged", name)
                staged = stage_parquet(folder, part_name(bucket), table, self.sort_by.get(name))
                write_receipt(folder, staged)
                yield name, staged


def write_receipt(folder: Folder, staged: StagedFile) -> None:
    """Leave word of a written file beside it, for the driver: a worker cannot return values to it."""
    folder.put_whole(staged.name + _RECEIPT, json.dumps(asdict(staged)).encode())


def staged_tables(folder: Folder, names: Iterable[str]) -> dict[str, StagedTable]:
    """The staged files of each named table below a unit's work folder, as the receipts of the write step list them."""
    tables = {}
    for name in names:
        place = folder.child("staged", name)
        receipts = [n for n in place.names() if n.endswith(_RECEIPT)]
        tables[name] = StagedTable(place, tuple(StagedFile(**json.loads(place.read(n))) for n in receipts))
    return tables


class _WriteBucket(beam.DoFn):
    def __init__(self, writer: PartWriter) -> None:
        self._writer = writer

    def process(self, element: tuple[int, Iterable[tuple[str, SpillRef]]]) -> Iterator[tuple[str, StagedFile]]:
        bucket, references = element
        yield from self._writer.write(bucket, references)


class GroupAndWriteParts(beam.PTransform):
    """`(bucket, (table, SpillRef))` in; one Parquet part a bucket and table, with receipts for `staged_tables`."""

    def __init__(self, writer: PartWriter) -> None:
        super().__init__()
        self._writer = writer

    def expand(self, references: Any) -> Any:
        """Compose the steps Group and Write."""
        return references | "Group" >> beam.GroupByKey() | "Write" >> beam.ParDo(_WriteBucket(self._writer))
