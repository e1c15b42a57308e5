"""Everything that was decided about one document, with its twin and what it stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.dedup.measured_similarity import exact_similarity
from pipelines.dedup.stored_documents import find_documents
from schemas.catalog import iterate_table, manifest_of, units
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError
from schemas.tables import ID

__all__ = ["Explanation", "explain"]

_SHOWN = ["url", "title", "language", "captured_at", "published", "content_hash"]
_COPIES = 20  # copies that are listed


@dataclass(frozen=True)
class Explanation:
    """What was decided about a document in one partition.

    Attributes:
        document: its id, partition, URL, title, date, and length of its text in characters; without a text where
            `clean` dropped it.
        dropped: the rules by which `clean` dropped it; None where it is a document.
        decided: whether deduplication has decided about the partition.
        removal: the row of `duplicates/` that removes it, with the keeper as `twin` and the similarity of the texts
            measured anew as `measured`; None where it stays.
        settings: threshold, n-gram, levels and policy of the decision.
        copies: documents that went in favour of it: how many, from when to when, of which sources, and some of them.
        contaminated: what of it evaluation sets hold.
    """

    document: dict[str, Any]
    dropped: list[str] | None
    decided: bool
    removal: dict[str, Any] | None
    settings: dict[str, Any]
    copies: dict[str, Any]
    contaminated: list[dict[str, Any]]


def _is(column: pa.ChunkedArray, one: bytes) -> pa.ChunkedArray:
    return pc.equal(column, pa.scalar(one, ID))


def _document(root: CorpusRoot, key: PartitionKey, one: bytes) -> dict[str, Any] | None:
    for table in find_documents(root, key, pa.array([one], ID), [*_SHOWN, "text"]):
        (row,) = table.to_pylist()
        return {"source": key.source, "partition": key.partition, **row}
    return None


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A document without its text, as JSON."""
    shown = {name: row.get(name) for name in ("source", "partition", "url", "title", "language", "published")}
    moment = row.get("captured_at")
    return {
        "document_id": row["document_id"].hex(),
        **shown,
        "captured_at": moment.isoformat() if moment else None,
        "content_hash": row["content_hash"].hex(),
        "characters": len(row["text"]) if "text" in row else None,
    }


def _rows(root: CorpusRoot, table: str, key: PartitionKey, column: str, one: bytes) -> Iterator[dict[str, Any]]:
    for part in iterate_table(root, table, key):
        if column in part.column_names:
            yield from part.filter(_is(part[column], one)).to_pylist()


def _removal(root: CorpusRoot, row: dict[str, Any], text: str, config: DedupConfig) -> dict[str, Any]:
    kept_key = PartitionKey(row["kept_source"], row["kept_partition"])
    twin = _document(root, kept_key, row["kept_id"])
    measured = exact_similarity([text], [twin["text"]], config)[0] if twin else None
    return {
        "level": row["level"],
        "similarity": row["similarity"],
        "measured": float(measured) if measured is not None else None,
        "band": row["band"],
        "config": row["config"],
        "twin": _shown(twin) if twin else {"document_id": row["kept_id"].hex(), **kept_key._asdict()},
    }


def _copies(root: CorpusRoot, keys: Sequence[PartitionKey], key: PartitionKey, one: bytes) -> dict[str, Any]:
    """What a keeper stands for, over all partitions."""
    total, moments, sources = 0, [], set()
    some: list[dict[str, Any]] = []
    for there in keys:
        for row in _rows(root, "clusters", there, "kept_id", one):
            if PartitionKey(row["kept_source"], row["kept_partition"]) == key:
                total += row["copies"]
                moments += [row[name] for name in ("first_seen", "last_seen") if row[name]]
                sources |= set(row["sources"])
                some += _followers(root, there, key, one)[: _COPIES - len(some)]
    return {
        "number": total,
        "first_seen": min(moments).isoformat() if moments else None,
        "last_seen": max(moments).isoformat() if moments else None,
        "sources": sorted(sources),
        "some": some,
    }


def _followers(root: CorpusRoot, there: PartitionKey, key: PartitionKey, one: bytes) -> list[dict[str, Any]]:
    return [
        {
            "document_id": row["removed_id"].hex(),
            **there._asdict(),
            "level": row["level"],
            "similarity": row["similarity"],
        }
        for row in _rows(root, "duplicates", there, "kept_id", one)
        if PartitionKey(row["kept_source"], row["kept_partition"]) == key
    ]


def _of_document(root: CorpusRoot, key: PartitionKey, row: dict[str, Any]) -> Explanation:
    one, manifest = row["document_id"], manifest_of(root, "duplicates", key)
    config = DedupConfig.model_validate(manifest.config) if manifest else DedupConfig()
    removed = next(_rows(root, "duplicates", key, "removed_id", one), None)
    shown = ("levels", "threshold", "ngram", "policy", "scope")
    contaminated = _rows(root, "contaminated", key, "document_id", one)
    return Explanation(
        document=_shown(row),
        dropped=None,
        decided=manifest is not None,
        removal=_removal(root, removed, row["text"], config) if removed else None,
        settings=config.model_dump(mode="json", include=set(shown)) if manifest else {},
        copies=_copies(root, units(root, "duplicates"), key, one),
        contaminated=[
            {name: found[name] for name in ("task", "item", "ngram", "start", "end", "action")}
            for found in contaminated
        ],
    )


def explain(root: CorpusRoot, document_id: str) -> list[Explanation]:
    """What was decided about a document, for each partition that has it.

    Raises:
        InputError: no partition has it, or the id is none.
    """
    try:
        one = bytes.fromhex(document_id)
    except ValueError:
        one = b""
    if len(one) != ID.byte_width:
        raise InputError(f"{document_id!r} is no document id; expected 32 hexadecimal digits, as in `document_id`")
    found = []
    for key in units(root, "documents"):
        row = _document(root, key, one)
        if row is not None:
            found.append(_of_document(root, key, row))
        for gone in _rows(root, "dropped", key, "document_id", one):
            document = _shown({**gone, **key._asdict()})
            found.append(Explanation(document, gone["rules"], False, None, {}, {"number": 0, "some": []}, []))
    if not found:
        raise InputError(
            f"no document {document_id} in {root.url}; ids stand in the column document_id of documents/ and dropped/"
        )
    return found
