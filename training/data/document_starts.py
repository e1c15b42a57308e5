"""Where documents begin in a stream of tokens, from the indexes that a plan pins; never guessed from ids."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.corpus_root import CorpusRoot
from schemas.errors import ShardError
from schemas.mixture import IndexRef, MixturePlan, SourceStream
from schemas.storage import join_url
from schemas.token_shard import INDEX_NAME, IndexHeader, index_header_of, token_table

__all__ = ["boundaries_of", "open_index", "read_starts"]

Integers = NDArray[np.int64]


def _missing(where: str, plan: MixturePlan) -> ShardError:
    return ShardError(f"{where} is missing, and mixture {plan.name} pins it; run tokenize again")


def _again(plan: MixturePlan) -> str:
    return f"run `corpusmill run mix` under a new name, or restore what mixture {plan.name} pins"


def open_index(root: CorpusRoot, index: IndexRef, plan: MixturePlan) -> tuple[pq.ParquetFile, IndexHeader]:
    """An index that a plan pins; what its header says is compared, its checksum is not.

    Raises:
        ShardError: it is missing, damaged or another one.
    """
    where = f"{root.url}/{index.path}"
    place, _, name = index.path.rpartition("/")
    try:
        opened = pq.ParquetFile(root.folder.child(place).open_arrow(name))
    except FileNotFoundError as error:
        raise _missing(where, plan) from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise ShardError(f"{where} cannot be read: {error}; {_again(plan)}") from error
    return opened, _pinned_header(opened, index, plan, where)


def _pinned_header(opened: pq.ParquetFile, index: IndexRef, plan: MixturePlan, where: str) -> IndexHeader:
    header = index_header_of(opened.schema_arrow, where)
    named = join_url(token_table(header.tokenizer, header.split), header.source, header.partition, INDEX_NAME)
    facts = [
        ("tokenizer", header.tokenizer_fingerprint, plan.tokenizer_fingerprint),
        ("place", named, index.path),
        ("documents", header.documents, index.documents),
        ("tokens", header.tokens, index.tokens),
    ]
    for what, found, wanted in facts:
        if found != wanted:
            raise ShardError(f"{where} has {what} {found}, mixture {plan.name} pins {wanted}; {_again(plan)}")
    return header


def _read_index(root: CorpusRoot, index: IndexRef, plan: MixturePlan) -> Integers:
    where = f"{root.url}/{index.path}"
    try:
        content = root.folder.read(index.path)
    except FileNotFoundError as error:
        raise _missing(where, plan) from error
    if hashlib.blake2b(content, digest_size=32).hexdigest() != index.checksum:
        raise ShardError(
            f"{where} is damaged or another index than the one pinned: its checksum differs; {_again(plan)}"
        )
    opened = pq.ParquetFile(pa.BufferReader(content))
    _pinned_header(opened, index, plan, where)
    starts: Integers = opened.read(columns=["start"]).column("start").to_numpy().astype(np.int64)
    return starts


def read_starts(root: CorpusRoot, stream: SourceStream, plan: MixturePlan) -> Integers:
    """Positions in the stream of a source at which its documents begin, ascending.

    Raises:
        ShardError: an index is missing, damaged or another one than the plan pins, or does not cover the stream.
    """
    found, first = [np.empty(0, dtype=np.int64)], 0
    for index in stream.indexes:
        found.append(_read_index(root, index, plan) + first)
        first += index.tokens
    if first != stream.tokens:
        raise ShardError(
            f"the indexes of {stream.source} in mixture {plan.name} cover {first} tokens of {stream.tokens}; "
            "run `corpusmill run mix` again"
        )
    return np.concatenate(found)


def boundaries_of(starts: Integers, windows: Integers, length: int) -> tuple[Integers, Integers]:
    """The documents that begin inside some windows of one stream, after a window's first token.

    Returns:
        For each: which of `windows` (its place there), and the position among the window's T inputs.
    """
    first = np.searchsorted(starts, windows * length, side="right")
    stop = np.searchsorted(starts, (windows + 1) * length, side="left")
    counts = np.maximum(stop - first, 0)
    which = np.repeat(np.arange(len(windows)), counts)
    within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    return which, starts[np.repeat(first, counts) + within] - windows[which] * length
