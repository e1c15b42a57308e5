"""Arrow schemas of the tables a corpus consists of; the columns are the contract with every reader.

Ids and hashes are 16 raw bytes. Character offsets are code points, end-exclusive. The record columns
(`record_file`, `record_offset`, `record_id`, `captured_at`) are an address and a date, never part of an identity.
"""

from __future__ import annotations

import pyarrow as pa

__all__ = [
    "BANDS",
    "CLUSTERS",
    "CONTAMINATED",
    "DEAD",
    "DIGEST_EXCLUDED_COLUMNS",
    "DOCUMENTS",
    "DROPPED",
    "DUPLICATES",
    "EDGES",
    "ID",
    "ITEM_OVERLAPS",
    "NGRAM_COUNTS",
    "OVERLAPS",
    "SIGNATURES",
    "TABLES",
]

ID = pa.binary(16)

_RECORD: list[pa.Field] = [
    pa.field("record_file", pa.string()),
    pa.field("record_offset", pa.int64()),
    pa.field("record_id", pa.string()),
    pa.field("captured_at", pa.timestamp("us", tz="UTC")),
]

_DOCUMENT_WITHOUT_TEXT: list[pa.Field] = [
    pa.field("url", pa.string()),  # verbatim, as the record states it
    pa.field("url_key", pa.string()),  # canonical form, for joins by URL
    pa.field("source", pa.string(), nullable=False),
    pa.field("partition", pa.string(), nullable=False),
    pa.field("title", pa.string()),
    pa.field("language", pa.string()),  # ISO 639-1 where there is one
    pa.field("language_score", pa.float32()),
    pa.field("sentence_ends", pa.list_(pa.int32())),  # code points, end-exclusive
    pa.field("published", pa.string()),  # ISO 8601 date
    pa.field("license", pa.string()),
    pa.field("robots_policy", pa.string()),
    pa.field("content_type", pa.string()),
    pa.field("charset", pa.string()),
    pa.field("scores", pa.map_(pa.string(), pa.float32())),  # measured value by rule; `characters` of the judged text
    *_RECORD,
]

DOCUMENTS = pa.schema(
    [
        pa.field("document_id", ID, nullable=False),
        pa.field("content_hash", ID, nullable=False),
        pa.field("text", pa.string(), nullable=False),
        *_DOCUMENT_WITHOUT_TEXT,
    ]
)

DROPPED = pa.schema(
    [
        pa.field("document_id", ID),  # null where there is no text
        pa.field("content_hash", ID),
        *_DOCUMENT_WITHOUT_TEXT,
        pa.field("rules", pa.list_(pa.string()), nullable=False),  # every rule that failed, in preset order
        pa.field("unevaluated", pa.list_(pa.string()), nullable=False),  # costly rules not run after a failure
    ]
)

DEAD = pa.schema(
    [
        *_RECORD,
        pa.field("url", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("partition", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("error", pa.string(), nullable=False),  # a short stable name, e.g. "truncated-record"
        pa.field("message", pa.string(), nullable=False),
    ]
)

SIGNATURES = pa.schema(
    [
        pa.field("document_id", ID, nullable=False),
        pa.field("content_hash", ID, nullable=False),
        pa.field("shingles", pa.int32(), nullable=False),  # distinct n-grams; 0 meets the exact level only
        pa.field("set_hash", pa.uint64(), nullable=False),  # of the set of n-grams: equal for equal sets
        # Least permuted values, 8 bytes each, little-endian; empty where shingles = 0. Bytes and not a list: of 108
        # numbers a row, digests took more time than all else (6 of 9 CPU seconds on 17,911 texts).
        # With 64-bit offsets: 4,096 values of 65,000 documents are 2 GiB in one part.
        pa.field("signature", pa.large_binary(), nullable=False),
    ]
)

EDGES = pa.schema(
    [
        pa.field("left_id", ID, nullable=False),  # a document of this partition
        pa.field("right_id", ID, nullable=False),  # a document of this partition or of an earlier one
        pa.field("right_source", pa.string(), nullable=False),
        pa.field("right_partition", pa.string(), nullable=False),
        pa.field("similarity", pa.float64(), nullable=False),  # exact Jaccard
        pa.field("band", pa.int32(), nullable=False),  # the lowest band in which the two met
    ]
)

BANDS = pa.schema(
    [
        pa.field("shingles", pa.int32(), nullable=False),
        pa.field("set_hash", pa.uint64(), nullable=False),
        pa.field("content_hash", ID, nullable=False),
        pa.field("document_id", ID, nullable=False),
        pa.field("keys", pa.large_binary(), nullable=False),  # its band keys, 8 bytes each, lowest byte first
    ]
)

DUPLICATES = pa.schema(
    [
        pa.field("removed_id", ID, nullable=False),
        pa.field("removed_source", pa.string(), nullable=False),
        pa.field("removed_partition", pa.string(), nullable=False),
        pa.field("kept_id", ID, nullable=False),
        pa.field("kept_source", pa.string(), nullable=False),
        pa.field("kept_partition", pa.string(), nullable=False),
        pa.field("similarity", pa.float64(), nullable=False),  # exact
        pa.field("level", pa.string(), nullable=False),  # url | exact | near
        pa.field("band", pa.int32()),  # null at levels url and exact
        pa.field("config", pa.string(), nullable=False),  # fingerprint of the settings that decided
    ]
)

CLUSTERS = pa.schema(
    [
        pa.field("kept_id", ID, nullable=False),
        pa.field("kept_source", pa.string(), nullable=False),
        pa.field("kept_partition", pa.string(), nullable=False),
        pa.field("copies", pa.int64(), nullable=False),  # removed documents of this partition
        pa.field("first_seen", pa.timestamp("us", tz="UTC")),
        pa.field("last_seen", pa.timestamp("us", tz="UTC")),
        pa.field("sources", pa.list_(pa.string()), nullable=False),
    ]
)

CONTAMINATED = pa.schema(
    [
        pa.field("document_id", ID, nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("partition", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("ngram", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("action", pa.string(), nullable=False),  # cut | drop | ignored
    ]
)

# N-grams of evaluation items in kept documents, before anything is decided about them.
OVERLAPS = pa.schema(
    [
        pa.field("document_id", ID, nullable=False),
        pa.field("characters", pa.int64(), nullable=False),  # code points of the document's text
        pa.field("ngram", pa.string(), nullable=False),  # normal words, joined by single spaces
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
    ]
)

NGRAM_COUNTS = pa.schema(
    [
        pa.field("ngram", pa.string(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),  # kept documents of this partition that hold it
    ]
)

# Evaluation items that share an n-gram with a kept document of this partition.
ITEM_OVERLAPS = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),  # that hold an n-gram of the item
        pa.field("left", pa.int64(), nullable=False),  # of these, with one still there after the cuts
        pa.field("document_id", ID, nullable=False),  # the first of them; where some are left, the first of those
        pa.field("ngram", pa.string(), nullable=False),  # its first n-gram of the item
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
    ]
)

TABLES: dict[str, pa.Schema] = {
    "documents": DOCUMENTS,
    "dropped": DROPPED,
    "dead": DEAD,
    "signatures": SIGNATURES,
    "edges": EDGES,
    "bands": BANDS,
    "duplicates": DUPLICATES,
    "clusters": CLUSTERS,
    "overlaps": OVERLAPS,
    "ngram_counts": NGRAM_COUNTS,
    "contaminated": CONTAMINATED,
    "item_overlaps": ITEM_OVERLAPS,
}

# Addresses, dates of capture (in clusters: the first and the last) and free text of errors may differ between two runs
# that give the same corpus.
DIGEST_EXCLUDED_COLUMNS = frozenset(
    {
        "record_file",
        "record_offset",
        "record_id",
        "captured_at",
        "first_seen",
        "last_seen",
        "message",
        "seconds",
    }
)
