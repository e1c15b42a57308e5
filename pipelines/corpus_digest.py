"""The corpus digest: one hash of all rows and tokens of a corpus, taken from the data files and not from manifests.

For each table and (source, partition): BLAKE2b-256 over the sorted row hashes (`schemas.row_hash`), so rows may lie in
any order and in any files. For token shards: over the bytes of the stream, however it is cut, and over the rows of
the index in order. Which files belong to the corpus is what manifests are asked for. Tables without rows leave no
trace, so a stage that decided nothing and one that did not run are the same corpus. Memory: 32 bytes a row of the
largest partition, and one file of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.catalog import iterate_table, require_manifest, units
from schemas.corpus_root import MANIFEST_NAME, CorpusRoot, PartitionKey
from schemas.errors import ShardError
from schemas.identity import length_prefixed
from schemas.row_hash import row_hashes
from schemas.split import SPLITS
from schemas.tables import TABLES
from schemas.token_shard import INDEX_NAME, token_table

__all__ = ["CorpusDigest", "corpus_digest", "tokenizer_names"]

_ROW_BYTES = 32


@dataclass(frozen=True)
class CorpusDigest:
    """`total` is over everything; `by_table` is what it is made of, to find where two corpora part."""

    total: str
    by_table: dict[str, str]


Digests = dict[tuple[str, str, str], bytes]  # by table, source, partition


def _rows_digest(tables: Iterator[pa.Table]) -> bytes | None:
    """The digest of rows as a bag; None where there is no row."""
    hashes = bytearray()
    for table in tables:
        for batch in table.to_batches(max_chunksize=4096):
            hashes += b"".join(row_hashes(batch))
    if not hashes:
        return None
    ordered = np.sort(np.frombuffer(hashes, dtype=f"V{_ROW_BYTES}"))
    return hashlib.blake2b(ordered.tobytes(), digest_size=32).digest()


@contextmanager
def _naming(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        raise ShardError(f"{where} cannot be read: {error}; remove its manifest, then run tokenize") from error


def _token_digests(root: CorpusRoot, table: str, key: PartitionKey) -> Iterator[tuple[str, bytes]]:
    """The digests of the stream and of its index; nothing where the stream is empty."""
    folder = root.partition_folder(table, key)
    stream, index = hashlib.blake2b(digest_size=32), hashlib.blake2b(digest_size=32)
    files = require_manifest(root, table, key).tables[table].files
    for file in files:
        with _naming(f"{folder.url}/{file.name}"), folder.open_read(file.name) as opened:
            if file.name == INDEX_NAME:
                for batch in pq.ParquetFile(opened).iter_batches():
                    index.update(b"".join(row_hashes(batch)))
                continue
            reader = pa.ipc.open_file(opened)
            for number in range(reader.num_record_batches):
                tokens = reader.get_batch(number).column("token").to_numpy()
                stream.update(np.ascontiguousarray(tokens, dtype=tokens.dtype.newbyteorder("<")).data)
    if files:
        yield table, stream.digest()
        yield f"{table}/index", index.digest()


def tokenizer_names(root: CorpusRoot) -> list[str]:
    """Names of the tokenizers under which token shards are committed."""
    found = (folder.split("/") for folder in root.folder.child("tokens").find(MANIFEST_NAME))
    return sorted({parts[0] for parts in found if len(parts) > 3 and parts[1] == "train"})


def _collect(root: CorpusRoot) -> Digests:
    digests: Digests = {}
    for table in TABLES:
        for key in units(root, table):
            rows = _rows_digest(iterate_table(root, table, key))
            if rows is not None:
                digests[table, *key] = rows
    for tokenizer in tokenizer_names(root):
        for split in SPLITS:
            table = token_table(tokenizer, split)
            for key in units(root, table):
                digests.update({(name, *key): digest for name, digest in _token_digests(root, table, key)})
    return digests


def _digest_of(digests: Digests) -> str:
    state = hashlib.blake2b(digest_size=32)
    for names, digest in sorted(digests.items()):
        state.update(length_prefixed(*(name.encode("utf-8") for name in names), digest))
    return state.hexdigest()


def corpus_digest(root: CorpusRoot) -> CorpusDigest:
    """Read the whole corpus and take its digest.

    Raises:
        ContractError: a file that a manifest lists is missing or damaged; the message names it.
    """
    digests = _collect(root)
    tables = sorted({names[0] for names in digests})
    by_table = {table: _digest_of({k: v for k, v in digests.items() if k[0] == table}) for table in tables}
    return CorpusDigest(_digest_of(digests), by_table)
