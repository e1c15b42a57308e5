"""The lists of clean and dirty items, over all partitions that are decided."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from pipelines.engine.staging import StagedFile, StagedTable
from pipelines.engine.unit import UnitOutput
from schemas.catalog import iterate_table
from schemas.clean_dirty import LISTS, Evidence, ItemOverlap, list_name
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.storage import Folder

__all__ = ["write_lists"]

_STATUSES = ("clean", "removed", "dirty", "short")
Row = Mapping[str, Any]


class _Found(NamedTuple):
    """Sums over partitions, and a row to show: the first one with something left, else the first."""

    documents: int
    left: int
    key: PartitionKey
    row: Row

    def joined(self, key: PartitionKey, row: Row) -> _Found:
        shown = (key, row) if row["left"] and not self.left else (self.key, self.row)
        return _Found(self.documents + row["documents"], self.left + row["left"], *shown)


def _overlap(id_: str, found: _Found | None, looked_for: bool) -> ItemOverlap:
    if found is None:
        return ItemOverlap(id=id_, status="clean" if looked_for else "short", documents=0, left=0)
    evidence = Evidence(
        source=found.key.source,
        partition=found.key.partition,
        document_id=found.row["document_id"].hex(),
        ngram=found.row["ngram"],
        start=found.row["start"],
        end=found.row["end"],
    )
    return ItemOverlap(
        id=id_,
        status="dirty" if found.left else "removed",
        documents=found.documents,
        left=found.left,
        evidence=evidence,
    )


def write_lists(
    root: CorpusRoot,
    keys: Sequence[PartitionKey],
    items: Sequence[tuple[str, str]],
    looked_for: Collection[int],
    words_of_task: Mapping[str, int],
    folder: Folder,
) -> UnitOutput:
    """Write one list a set into the unit's work folder.

    Args:
        root: the corpus.
        keys: the partitions that are decided, in partition order.
        items: set and id of each item, those of one set in the order of their file.
        looked_for: positions of the items that have an n-gram by which they could be dirty.
        words_of_task: words of the n-grams by which an item of a set is dirty.
        folder: the unit's work folder.
    """
    found: dict[tuple[str, str], _Found] = {}
    for key in keys:
        for table in iterate_table(root, "item_overlaps", key):
            for row in table.to_pylist():
                item = row["task"], row["item"]
                known = found.get(item)
                found[item] = known.joined(key, row) if known else _Found(row["documents"], row["left"], key, row)
    by_task: dict[str, list[ItemOverlap]] = {}
    for number, (task, id_) in enumerate(items):
        by_task.setdefault(task, []).append(_overlap(id_, found.get((task, id_)), number in looked_for))
    files, notes = [], []
    totals: Counter[str] = Counter()
    for task, rows in by_task.items():
        data = "".join(row.model_dump_json() + "\n" for row in rows).encode("utf-8")
        name = list_name(task)
        folder.put_whole(name, data)
        digest = hashlib.blake2b(name.encode("utf-8") + b"\0" + data, digest_size=32).hexdigest()
        files.append(StagedFile(name, len(rows), len(data), digest))
        found_here: Counter[str] = Counter(row.status for row in rows)
        statuses: dict[str, int] = {status: found_here[status] for status in _STATUSES}
        totals.update({f"{status}_items": number for status, number in statuses.items()})
        notes.append({"task": task, "words": words_of_task[task], "items": len(rows), **statuses})
    return UnitOutput(tables={LISTS: StagedTable(folder, tuple(files))}, counts=dict(totals), notes={"sets": notes})
