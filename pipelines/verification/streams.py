"""One committed token stream: its shards and its index, against the manifest, the tokenizer and each other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.tokens.frozen import FrozenTokenizer
from pipelines.verification.findings import Findings
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ShardError
from schemas.manifest import OutputFile
from schemas.storage import Folder
from schemas.token_shard import (
    INDEX_NAME,
    TOKEN_INDEX,
    header_of,
    index_header_of,
    shard_name,
    token_checksum,
    token_table,
)

__all__ = ["StreamPlace", "StreamTokens", "open_stream"]

_DAMAGE = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError, OSError, KeyError, ValueError)


@dataclass(frozen=True)
class StreamPlace:
    """Where a stream lies and who made it."""

    root: CorpusRoot
    key: PartitionKey
    split: str
    tokenizer: FrozenTokenizer

    @property
    def folder(self) -> Folder:
        """The folder of its files."""
        return self.root.partition_folder(token_table(self.tokenizer.name, self.split), self.key)


@dataclass(frozen=True)
class StreamTokens:
    """The shards of a stream, one after another, and its index."""

    shards: list[NDArray[Any]]
    index: pa.Table

    def read(self, start: int, length: int) -> NDArray[Any]:
        """`length` tokens from position `start` on."""
        parts, first = [], 0
        for shard in self.shards:
            low, high = max(start, first), min(start + length, first + len(shard))
            if low < high:
                parts.append(shard[low - first : high - first])
            first += len(shard)
        return np.concatenate([np.empty(0, np.uint16), *parts]) if len(parts) != 1 else parts[0]


def _shard(place: StreamPlace, name: str, number: int, first: int, findings: Findings) -> NDArray[Any] | None:
    where = f"{place.folder.url}/{name}"
    try:
        # Mapped where that can be done: the pages of a large stream are the system's to keep or drop.
        folder = place.folder
        source = pa.memory_map(folder.path(name)) if folder.is_local else pa.py_buffer(folder.read(name))
        reader = pa.ipc.open_file(source)
        header = header_of(reader.schema, where)
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate(full=True)
        columns = [batch.column("token").to_numpy() for batch in batches]
    except ShardError as error:
        findings.add(where, str(error).removeprefix(where).strip())
        return None
    except _DAMAGE as error:
        findings.add(where, f"cannot be read: {error}")
        return None
    tokens = columns[0] if len(columns) == 1 else np.concatenate([np.empty(0, np.uint16), *columns])
    facts = [
        ("tokenizer fingerprint", header.tokenizer_fingerprint, place.tokenizer.fingerprint),
        ("tokenizer", header.tokenizer, place.tokenizer.name),
        ("vocabulary size", header.vocabulary_size, place.tokenizer.vocabulary_size),
        ("end-of-text id", header.end_of_text, place.tokenizer.end_of_text),
        ("source", header.source, place.key.source),
        ("partition", header.partition, place.key.partition),
        ("split", header.split, place.split),
        ("number", header.number, number),
        ("first token", header.first_token, first),
        ("tokens", header.tokens, len(tokens)),
        ("checksum", header.checksum, token_checksum(columns)),
    ]
    for what, found, wanted in facts:
        if found != wanted:
            findings.add(where, f"its header says {what} {found}, it should be {wanted}")
            return None
    findings.checked["tokens"] += len(tokens)
    return tokens


def _index(place: StreamPlace, tokens: int, findings: Findings) -> pa.Table | None:
    where = f"{place.folder.url}/{INDEX_NAME}"
    try:
        with place.folder.open_read(INDEX_NAME) as stream:
            opened = pq.ParquetFile(stream)
            header = index_header_of(opened.schema_arrow, where)
            table = opened.read()
    except ShardError as error:
        findings.add(where, str(error).removeprefix(where).strip())
        return None
    except _DAMAGE as error:
        findings.add(where, f"cannot be read: {error}")
        return None
    facts = [
        ("tokenizer fingerprint", header.tokenizer_fingerprint, place.tokenizer.fingerprint),
        ("tokenizer", header.tokenizer, place.tokenizer.name),
        ("source", header.source, place.key.source),
        ("partition", header.partition, place.key.partition),
        ("split", header.split, place.split),
        ("documents", header.documents, table.num_rows),
        ("tokens", header.tokens, tokens),
    ]
    for what, found, wanted in facts:
        if found != wanted:
            findings.add(where, f"its header says {what} {found}, it should be {wanted}")
            return None
    starts = table.column("start").to_numpy().astype(np.int64)
    ends = starts + table.column("length").to_numpy().astype(np.int64)
    if not np.array_equal(np.concatenate([[0], ends]), np.concatenate([starts, [tokens]])):
        findings.add(where, f"its documents do not follow each other over the {tokens} tokens of the stream")
        return None
    order = list(zip(table.column("document_id").to_pylist(), table.column("piece").to_pylist(), strict=True))
    if any(left >= right for left, right in pairwise(order)):
        findings.add(where, "its rows are not in the order of document id and piece")
        return None
    findings.checked["index rows"] += table.num_rows
    return table


def open_stream(place: StreamPlace, files: tuple[OutputFile, ...], findings: Findings) -> StreamTokens | None:
    """Check the files of a stream; None where one of them is wrong."""
    shards, first, sound = [], 0, True
    names = [file.name for file in files if file.name != INDEX_NAME]
    for number, name in enumerate(names):
        if name != shard_name(number):
            findings.add(f"{place.folder.url}/{name}", f"stands where the manifest should list {shard_name(number)}")
        found = _shard(place, name, number, first, findings)
        sound = sound and found is not None
        if found is not None:
            shards.append(found)
            first += len(found)
    if not sound:
        return None
    if not files:
        return StreamTokens([], TOKEN_INDEX.empty_table())
    index = _index(place, first, findings)
    return None if index is None else StreamTokens(shards, index)
