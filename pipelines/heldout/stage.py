"""The stage `heldout`: a suite of tasks from test documents, and prompt/answer pairs by split.

Writes `<root>/heldout/<name>/`: `suite.toml`, a JSONL of items a task and of its few-shot examples, and
`pairs-{train,validation,test}.jsonl`. Items come from test documents only, examples and training pairs from training
documents only, and no item or test pair is one of the training pairs. Few documents give few items or none, and the
manifest's notes say so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from pipelines.engine.stage import StageRequest, StageResult
from pipelines.engine.staging import StagedFile, StagedTable
from pipelines.engine.unit import Unit, UnitOutput, run_unit
from pipelines.heldout.items import pair_rows, without
from pipelines.heldout.passages import PAIR_KINDS
from pipelines.heldout.pools import Pools
from pipelines.heldout.selection import Piece, choose
from pipelines.heldout.suite import Task, build_tasks
from pipelines.kept_documents import input_records, kept_documents
from schemas.configs.heldout import HeldoutConfig
from schemas.corpus_root import PartitionKey
from schemas.split import SPLITS, Split
from schemas.storage import Folder
from schemas.suites import Suite, suite_text

__all__ = ["STAGE_VERSION", "TABLE", "pending", "run", "suite_key"]

STAGE_VERSION = 2
TABLE = "heldout"


def suite_key(name: str) -> PartitionKey:
    """The unit of work of one suite: its folder is `<root>/heldout/<name>/`."""
    return PartitionKey(name, "")


@dataclass
class _Writer:
    """Collects the files of the suite in the unit's work folder."""

    folder: Folder
    files: list[StagedFile] = field(default_factory=list)

    def text(self, name: str, text: str, rows: int) -> None:
        data = text.encode("utf-8")
        self.folder.put_whole(name, data)
        digest = hashlib.blake2b(name.encode("utf-8") + b"\0" + data, digest_size=32).hexdigest()
        self.files.append(StagedFile(name, rows, len(data), digest))

    def rows(self, name: str, rows: Sequence[BaseModel]) -> None:
        self.text(name, "".join(row.model_dump_json() + "\n" for row in rows), len(rows))


def _write_tasks(writer: _Writer, name: str, tasks: Sequence[Task]) -> None:
    for task in tasks:
        if task.spec.items is not None:
            writer.rows(task.spec.items, task.items)
        if task.spec.examples is not None:
            writer.rows(task.spec.examples, task.examples)
    suite = Suite(name=name, tasks=tuple(task.spec for task in tasks))
    writer.text("suite.toml", suite_text(suite), len(tasks))


def _write_pairs(writer: _Writer, pools: Pools) -> dict[str, int]:
    config = pools.config
    wanted: dict[Split, int] = {
        "train": config.train_pairs,
        "test": config.test_pairs,
        "validation": config.validation_pairs,
    }
    counts = {}
    seen: list[Piece] = []
    for split, size in wanted.items():
        pieces = choose(without(pools.pieces(split, PAIR_KINDS), seen), size, config.seed, f"pairs {split}")
        seen += pieces
        writer.rows(f"pairs-{split}.jsonl", pair_rows(pieces))
        counts[f"pairs_{split}"] = len(pieces)
    return counts


def _notes(pools: Pools, tasks: Sequence[Task], training_pairs: int) -> list[str]:
    documents = pools.documents.total()
    test = pools.documents["test"]
    notes = []
    if not test:
        notes.append(
            f"none of {documents} kept documents falls into the test split: there are no items and no test pairs; "
            "give more documents or a larger share `test`, here and in tokenize"
        )
    elif len(tasks) == 1:
        notes.append(f"too little can be cut from {test} test documents: there is no task but perplexity")
    if not training_pairs:
        notes.append("no training pair could be cut: there is nothing to fine-tune on")
    return notes


def _work(request: StageRequest[HeldoutConfig], keys: list[PartitionKey], folder: Folder) -> UnitOutput:
    config = request.config
    pools = Pools(config)
    for key in keys:
        for document in kept_documents(request.root, key, config.test, config.validation):
            pools.add(document)
    writer = _Writer(folder)
    tasks, notes = build_tasks(pools)
    _write_tasks(writer, config.name, tasks)
    counts = {f"documents_{split}": pools.documents[split] for split in SPLITS}
    counts["tasks"] = len(tasks)
    counts.update({f"items_{task.spec.name}": len(task.items) for task in tasks if task.items})
    counts.update(_write_pairs(writer, pools))
    notes = [*_notes(pools, tasks, counts["pairs_train"]), *notes]
    return UnitOutput(tables={TABLE: StagedTable(folder, tuple(writer.files))}, counts=counts, notes={"notes": notes})


def _unit(request: StageRequest[HeldoutConfig], keys: list[PartitionKey]) -> Unit:
    return Unit(
        root=request.root,
        stage="heldout",
        version=STAGE_VERSION,
        key=suite_key(request.config.name),
        table=TABLE,
        config=request.config,
        inputs=input_records(request.root, keys),
    )


def pending(request: StageRequest[HeldoutConfig]) -> int:
    """How many suites `run` would write now: 0 or 1.

    Raises:
        InputError: no documents are committed.
    """
    return int(_unit(request, request.selected("documents")).done() is None)


def run(request: StageRequest[HeldoutConfig]) -> StageResult:
    """Write the suite and the pairs of the kept documents of all (or the asked for) partitions, unless they are there.

    Raises:
        InputError: no documents are committed.
        LeaseError: another live run writes the same suite.
    """
    keys = request.selected("documents")
    outcome = run_unit(_unit(request, keys), request.engine, lambda folder: _work(request, keys, folder))
    return StageResult(stage="heldout", outcomes=(outcome,))
