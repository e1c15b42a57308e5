"""Token streams: from a position to the piece of a document there, and from a document to its positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from flows.trace.places import PieceFacts
from flows.trace.sorted_parquet import SortedParquet
from pipelines.corpus_digest import tokenizer_names
from schemas.catalog import manifest_of
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError, InputError, ShardError
from schemas.split import SPLITS
from schemas.storage import Folder, join_url
from schemas.token_shard import INDEX_NAME, ShardHeader, header_of, token_table

__all__ = ["Stream", "open_shard", "streams_with"]

_PIECE = ["start", "length", "document_id", "piece", "url"]


@dataclass(frozen=True)
class Stream:
    """The tokens of one tokenizer, split and partition."""

    root: CorpusRoot
    table: str
    key: PartitionKey

    @property
    def folder(self) -> Folder:
        """Where shards and index lie."""
        return self.root.partition_folder(self.table, self.key)

    @cached_property
    def shards(self) -> list[tuple[str, int]]:
        """Name and tokens of each shard, in order.

        Raises:
            ShardError: the stream is not committed.
        """
        manifest = manifest_of(self.root, self.table, self.key)
        if manifest is None or self.table not in manifest.tables:
            raise ShardError(f"{self.folder.url} has no manifest; run `corpusmill run tokenize` again")
        files = manifest.tables[self.table].files
        return sorted((file.name, file.rows) for file in files if file.name != INDEX_NAME)

    def index(self, column: str) -> SortedParquet:
        """The index, which is sorted by `start` and by `document_id`."""
        return SortedParquet(self.folder, [INDEX_NAME], column)

    def piece_at(self, position: int) -> dict[str, Any]:
        """The index row of the piece that a token belongs to.

        Raises:
            ContractError: the index does not cover the position.
        """
        index = self.index("start")
        place = index.group_at(position)
        rows = index.read(place) if place is not None else None
        if rows is not None:
            starts = rows.column("start").to_numpy()
            (row,) = rows.slice(int(np.searchsorted(starts, position, "right")) - 1, 1).to_pylist()
            if row["start"] <= position < row["start"] + row["length"]:
                return row  # type: ignore[no-any-return]
        raise ContractError(
            f"{self.folder.url}/{INDEX_NAME} does not cover token {position}; remove its manifest and tokenize again"
        )

    def pieces_of(self, document_id: bytes) -> list[PieceFacts]:
        """Where the tokens of a document lie; empty where none are here."""
        if not self.shards:
            return []
        rows = self.index("document_id").equal_to(document_id, _PIECE)
        return [self._facts(row) for row in rows.to_pylist()] if rows is not None else []

    def _facts(self, row: dict[str, Any]) -> PieceFacts:
        start, end, first, parts = row["start"], row["start"] + row["length"], 0, []
        for name, tokens in self.shards:
            low, high = max(start, first), min(end, first + tokens)
            if low < high:
                path = join_url(self.table, self.key.source, self.key.partition, name)
                parts.append({"shard": path, "position": low - first, "tokens": high - low})
            first += tokens
        return PieceFacts(self.table, row["piece"], start, row["length"], parts)

    def pieces_between(self, spans: Sequence[tuple[int, int]]) -> list[list[dict[str, Any]]]:
        """For each of some spans of the stream, the pieces in it: id, piece, url, and the tokens in the span."""
        if not spans:
            return []
        tables = self.index("start").read_between([(start, end - 1) for start, end in spans], _PIECE)
        found = []
        for (start, end), rows in zip(spans, tables, strict=True):
            starts = rows.column("start").to_numpy()
            low = max(0, int(np.searchsorted(starts, start, "right")) - 1)
            high = int(np.searchsorted(starts, end, "left"))
            found.append(list(_clipped(rows.slice(low, high - low), start, end)))
        return found


def _clipped(rows: pa.Table, start: int, end: int) -> Iterator[dict[str, Any]]:
    for row in rows.to_pylist():
        low, high = max(start, row["start"]), min(end, row["start"] + row["length"])
        if low < high:
            about = {"document_id": row["document_id"].hex(), "piece": row["piece"], "url": row["url"]}
            yield {**about, "tokens": high - low}


def open_shard(root: CorpusRoot, path: str) -> tuple[ShardHeader, pa.RecordBatchFileReader]:
    """A shard's header and its tokens, mapped.

    Args:
        root: the corpus.
        path: of the shard: relative to the corpus, or with the corpus before it.

    Raises:
        InputError: it is not there.
        ShardError: it is damaged or no shard.
    """
    relative = path.removeprefix(root.url.rstrip("/") + "/")
    folder = root.folder
    where = f"{folder.url}/{relative}"
    if not folder.exists(relative):
        raise InputError(
            f"no shard {where}; give its path in the corpus, like tokens/bpe/train/web/p/shard-00000.arrow"
        )
    try:
        buffer = pa.memory_map(folder.path(relative)) if folder.is_local else folder.open_read(relative)
        reader = pa.ipc.open_file(buffer)
        return header_of(reader.schema, where), reader
    except (OSError, pa.ArrowInvalid) as error:
        raise ShardError(f"{where} cannot be read: {error}; remove its manifest, then run tokenize") from error


def streams_with(root: CorpusRoot, key: PartitionKey) -> list[Stream]:
    """The committed streams of a partition: of every tokenizer and split."""
    tables = [token_table(name, split) for name in tokenizer_names(root) for split in SPLITS]
    found = ((table, manifest_of(root, table, key)) for table in tables)
    return [Stream(root, table, key) for table, manifest in found if manifest and table in manifest.tables]
