"""The total order of documents: partition order and the survivor policy, then content hash, then document id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.dedup.signed_files import DocumentFile, document_files, read_texts
from schemas.catalog import iterate_table
from schemas.configs.dedup import DedupConfig
from schemas.configs.dedup_survivors import SurvivorKey
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.tables import DOCUMENTS

__all__ = ["empty_documents", "rank_of", "ranked_documents"]

# The score under which `clean` writes the characters of the stored text.
_CHARACTERS = "characters"
_COLUMNS = ("document_id", "content_hash", "captured_at", "url_key")


def _needed(key: SurvivorKey) -> list[str]:
    """Columns of `documents/` that a key is made of."""
    if key.kind in ("score", "length"):
        return ["scores"]
    return [key.name] if key.kind == "date" else []


def _score(table: pa.Table, name: str) -> pa.Array:
    values = pc.map_lookup(table["scores"], pa.scalar(name), "first").combine_chunks()
    return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)


def _lengths(table: pa.Table, file: DocumentFile) -> pa.Array:
    """Code points of each text: as `clean` counted them; where it did not, those of the text itself."""
    counted = _score(table, _CHARACTERS)
    missing = table["document_id"].filter(counted.is_null()).combine_chunks()
    if not len(missing):
        return counted
    ids, lengths = [pa.array([], missing.type)], [pa.array([], pa.float32())]
    for texts in read_texts(file, missing):
        ids.append(texts["document_id"].combine_chunks())
        lengths.append(pc.cast(pc.utf8_length(texts["text"]), pa.float32()).combine_chunks())
    places = pc.index_in(table["document_id"], value_set=pa.concat_arrays(ids)).combine_chunks()
    return pc.coalesce(counted, pa.concat_arrays(lengths).take(places))


def _value(table: pa.Table, key: SurvivorKey, source: str, config: DedupConfig, file: DocumentFile) -> pa.Array:
    if key.kind == "score":
        return _score(table, key.name)
    if key.kind == "length":
        return _lengths(table, file)
    if key.kind == "date":
        return table[key.name].combine_chunks()
    priority = config.source_priority
    place = priority.index(source) if source in priority else len(priority)
    return pa.array(np.full(table.num_rows, place, dtype=np.int32))


_KINDS = {"score": pa.float32(), "length": pa.float32(), "source": pa.int32()}


def _wide(field: pa.Field) -> pa.Field:
    """With 64-bit offsets: the URLs of 27 million documents are 2 GiB."""
    return field.with_type(pa.large_string()) if pa.types.is_string(field.type) else field


def empty_documents(config: DedupConfig) -> pa.Table:
    """No rows, with the columns of `ranked_documents`."""
    fields = [DOCUMENTS.field(name).remove_metadata() for name in _COLUMNS]
    for place, one in enumerate(config.survivor_keys):
        kind = _KINDS[one.kind] if one.kind in _KINDS else DOCUMENTS.field(one.name).type
        fields.append(pa.field(f"policy_{place}", kind))
    return pa.schema([_wide(field.with_nullable(True)) for field in fields]).empty_table()


def ranked_documents(root: CorpusRoot, key: PartitionKey, config: DedupConfig) -> Iterator[pa.Table]:
    """What decisions want to know of the documents of a partition, one table a file; reads no text.

    Columns: `document_id`, `content_hash`, `captured_at`, `url_key`, and `policy_0` and so on for the keys of the
    policy. `url_key` is null where the level url does not run. The policy's key longest reads those texts whose length
    is not among the scores.
    """
    keys = config.survivor_keys
    columns = [name for name in _COLUMNS if name != "url_key" or "url" in config.levels]
    wanted = list(dict.fromkeys([*columns, *(name for one in keys for name in _needed(one))]))
    schema = empty_documents(config).schema
    files = document_files(root, key)
    for file, table in zip(files, iterate_table(root, "documents", key, wanted), strict=True):
        urls = table["url_key"] if "url_key" in columns else pa.nulls(table.num_rows, pa.string())
        found = [*(table[name] for name in _COLUMNS[:-1]), urls]
        found += [_value(table, one, key.source, config, file) for one in keys]
        yield pa.Table.from_arrays(found, names=schema.names).cast(schema)


def rank_of(documents: pa.Table, config: DedupConfig) -> NDArray[np.int64]:
    """By row: its place in the ranking, 0 the highest; a missing value of the policy ranks last.

    Args:
        documents: columns as of `ranked_documents`, and `order`, the position of the partition in partition order.
        config: the settings.
    """
    by_policy: Sequence[tuple[str, str]] = [
        (f"policy_{place}", "descending" if one.descending else "ascending")
        for place, one in enumerate(config.survivor_keys)
    ]
    by_order = [("order", "ascending")]
    first = [*by_policy, *by_order] if config.scope == "corpus" else [*by_order, *by_policy]
    keys = [*first, ("content_hash", "ascending"), ("document_id", "ascending")]
    best = pc.sort_indices(documents, sort_keys=keys).to_numpy()  # nulls are placed last by default
    rank = np.empty(len(best), dtype=np.int64)
    rank[best] = np.arange(len(best))
    return rank
