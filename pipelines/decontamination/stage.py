"""The stage `decontaminate`: texts of evaluation sets in kept documents, and what is done about them.

Evaluation files are read once, into `<root>/benchmarks/<name>/`; later partitions are decided with what lies there. The
search is a Beam job, decisions are made in this process. `documents/` stays as it is: who reads kept documents applies
the decisions (`applied.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.decontamination.decide_partition import CommonNgrams, KnownItems, count_ngrams, decide_partition
from pipelines.decontamination.evaluation_files import EvaluationFile, digests_of, find_files, read_items
from pipelines.decontamination.items import Item
from pipelines.decontamination.lists import write_lists
from pipelines.decontamination.lookup import Lookup, write_lookup
from pipelines.decontamination.ngrams import build_ngrams
from pipelines.decontamination.units import BENCHMARKS, NGRAMS, DecontaminateUnits
from pipelines.engine.stage import StageRequest, StageResult
from pipelines.engine.staging import StagedFile, StagedTable, part_name, stage_parquet
from pipelines.engine.unit import UnitOutcome, UnitOutput, run_unit
from schemas.catalog import require_manifest, units
from schemas.configs.decontaminate import DecontaminateConfig
from schemas.errors import InputError
from schemas.manifest import read_manifest
from schemas.storage import Folder

__all__ = ["STAGE_VERSION", "pending", "run"]

STAGE_VERSION = 1
_ITEMS = "items.parquet"
_ITEM_COLUMNS = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("answers", pa.list_(pa.string()), nullable=False),
        pa.field("others", pa.list_(pa.string()), nullable=False),
    ]
)


def _unique(items: Sequence[Item]) -> list[Item]:
    """The items, with a number behind ids that stand twice in a set."""
    seen: dict[tuple[str, str], int] = {}
    found = []
    for item in items:
        times = seen[item.task, item.id] = seen.get((item.task, item.id), 0) + 1
        found.append(item if times == 1 else item._replace(id=f"{item.id}#{times}"))
    return found


def _staged_bytes(folder: Folder, name: str, rows: int) -> StagedFile:
    digest, size = hashlib.blake2b(name.encode("utf-8") + b"\0", digest_size=32), 0
    with folder.open_read(name) as stream:
        while data := stream.read(2**20):
            digest.update(data)
            size += len(data)
    return StagedFile(name, rows, size, digest.hexdigest())


class _Decontaminate:
    """One call of the stage."""

    def __init__(self, request: StageRequest[DecontaminateConfig]) -> None:
        self.root, self.config, self.engine = request.root, request.config, request.engine
        self.given: tuple[str, ...] = request.inputs or request.config.evaluations
        self.order = units(request.root, "documents")
        self.targets = [self.order.index(key) for key in request.selected("documents")]
        self.units = DecontaminateUnits(self.root, self.config, STAGE_VERSION, self.order)

    def folder(self, table: str) -> Folder:
        """The folder of a unit of the collection."""
        return self.root.partition_folder(table, self.units.collection)

    @cached_property
    def files(self) -> list[EvaluationFile]:
        """The evaluation files that were given; none where those are meant that were read before."""
        if self.given:
            return find_files(self.given)
        if read_manifest(self.folder(BENCHMARKS)) is None:
            raise InputError(
                f"decontaminate has nothing to look for: no evaluation files were given, and none were read before as "
                f"{self.config.name!r}; give --input FILE or FOLDER"
            )
        return []

    def read(self) -> UnitOutcome | None:
        """Read the evaluation files, where some were given."""
        if not self.files:
            return None

        def work(folder: Folder) -> UnitOutput:
            items = _unique(list(chain.from_iterable(read_items(one, self.config.columns) for one in self.files)))
            table = pa.Table.from_pylist([item._asdict() for item in items], schema=_ITEM_COLUMNS)
            staged = StagedTable(folder, (stage_parquet(folder, _ITEMS, table),))
            return UnitOutput(tables={BENCHMARKS: staged}, counts={"sets": len(self.files), "items": len(items)})

        return run_unit(self.units.items(digests_of(self.files)), self.engine, work)

    @cached_property
    def items(self) -> list[Item]:
        """The items that were read, in the order of their sets' names."""
        with self.folder(BENCHMARKS).open_read(_ITEMS) as stream:
            rows = pq.read_table(stream).to_pylist()
        return [Item(r["task"], r["id"], r["question"], tuple(r["answers"]), tuple(r["others"])) for r in rows]

    def prepare(self) -> UnitOutcome:
        """Make what is looked for."""

        def work(folder: Folder) -> UnitOutput:
            tables = build_ngrams(self.items, self.config)
            if not tables.postings.num_rows:
                raise InputError(
                    f"none of the {len(self.items)} evaluation items has enough words to be looked for: short_items is "
                    f"{self.config.short_items!r}, short_words {self.config.short_words}; lower it, or give other files"
                )
            write_lookup(folder, tables)
            rows = {"postings.arrow": tables.postings.num_rows, "texts.arrow": tables.texts.num_rows}
            files = tuple(_staged_bytes(folder, name, number) for name, number in rows.items())
            counts = {"texts": tables.texts.num_rows, "ngrams": tables.postings.num_rows}
            notes = {"words": tables.words_of_task}
            return UnitOutput(tables={NGRAMS: StagedTable(folder, files)}, counts=counts, notes=notes)

        return run_unit(self.units.ngrams(), self.engine, work)

    def search(self, position: int) -> UnitOutcome:
        """Find the n-grams in the documents of a partition."""
        key = self.order[position]

        def work(folder: Folder) -> UnitOutput:
            from pipelines.decontamination.scan import ScanJob, run_scan
            from pipelines.engine.write_parts import staged_tables

            documents = require_manifest(self.root, "documents", key).tables["documents"]
            job = ScanJob(self.root, key, self.folder(NGRAMS), self.config.punctuation, folder)
            if documents.files:
                run_scan(job, [file.name for file in documents.files], self.engine)
            tables = staged_tables(folder, ["overlaps"])
            place = folder.child("staged", "overlaps")
            counts = count_ngrams(_parts(place, tables["overlaps"]))
            counted = folder.child("staged", "ngram_counts")
            files = (stage_parquet(counted, part_name(0), counts),) if counts.num_rows else ()
            return UnitOutput(
                tables={**tables, "ngram_counts": StagedTable(counted, files)},
                counts={"overlaps": tables["overlaps"].rows, "found_ngrams": counts.num_rows},
            )

        return run_unit(self.units.overlaps(position), self.engine, work)

    @cached_property
    def known(self) -> KnownItems:
        """The items with their n-grams."""
        lookup = Lookup(self.folder(NGRAMS), self.config.punctuation)
        return KnownItems(lookup, [item.task for item in self.items], [item.id for item in self.items])

    @cached_property
    def common(self) -> CommonNgrams:
        """N-grams that many documents hold."""
        return CommonNgrams(self.root, self.order)

    def decide(self, position: int) -> UnitOutcome:
        """Decide about a partition."""

        def work(folder: Folder) -> UnitOutput:
            common = self.common.of(position, self.config.most_documents)
            return decide_partition(self.root, self.order[position], common, self.known, self.config, folder)

        return run_unit(self.units.decisions(position), self.engine, work)

    def list_items(self) -> UnitOutcome:
        """Write the lists of clean and dirty items."""
        words = require_manifest(self.root, NGRAMS, self.units.collection).notes["words"]

        def work(folder: Folder) -> UnitOutput:
            names = [(item.task, item.id) for item in self.items]
            looked_for = self.known.lookup.marked_items()
            return write_lists(self.root, self.units.decided(), names, looked_for, words, folder)

        return run_unit(self.units.lists(), self.engine, work)


def _parts(place: Folder, staged: StagedTable) -> Iterator[pa.Table]:
    for file in staged.files:
        with place.open_read(file.name) as stream:
            yield pq.read_table(stream, columns=["document_id", "ngram"])


def run(request: StageRequest[DecontaminateConfig]) -> StageResult:
    """Decontaminate the selected partitions.

    Partitions before them that were not searched are searched first, because n-grams are counted over them; decisions
    about them stay as they are.

    Raises:
        InputError: there are no documents, or no evaluation files, or one of these is wrong, or no item can be found.
        LeaseError: another live run works on one of the units.
        StageError: a pipeline failed.
    """
    stage = _Decontaminate(request)
    read = stage.read()
    outcomes: list[UnitOutcome] = [] if read is None else [read]
    outcomes.append(stage.prepare())
    outcomes += [stage.search(position) for position in range(stage.targets[-1] + 1)]
    outcomes += [stage.decide(position) for position in stage.targets]
    outcomes.append(stage.list_items())
    return StageResult(stage="decontaminate", outcomes=tuple(outcomes))


def pending(request: StageRequest[DecontaminateConfig]) -> int:
    """How many units `run` would do now; a unit counts when something that it depends on is to be done.

    Raises:
        InputError: as `run`.
    """
    stage = _Decontaminate(request)
    searched, decided = range(stage.targets[-1] + 1), len(stage.targets)
    if stage.files and stage.units.items(digests_of(stage.files)).done() is None:
        return 2 + len(searched) + decided + 1
    if stage.units.ngrams().done() is None:
        return 1 + len(searched) + decided + 1
    stale = [stage.units.overlaps(position).done() is None for position in searched]
    undecided = [
        any(stale[: position + 1]) or stage.units.decisions(position).done() is None for position in stage.targets
    ]
    listed = not any(undecided) and stage.units.lists().done() is not None
    return sum(stale) + sum(undecided) + (not listed)
