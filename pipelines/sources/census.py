"""How many items an input holds, counted in a pass that shares no code with the readers of rows.

The counts are what documents, dropped rows and dead letters must add up to. The same pass takes the digest of each
file, the bytes of its content, and the places at which a large archive can be cut for two workers.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.sources.archive_scan import ItemCount, plain_blocks, scan_archive
from pipelines.sources.compression import open_plain
from pipelines.sources.formats import SniffedFile, sniff_file
from pipelines.sources.inputs import InputFile
from pipelines.sources.items import DamagedInputError, WorkItem
from schemas.manifest import InputRecord
from schemas.storage import open_input

__all__ = ["FileCensus", "take_census"]

_BLOCK_BYTES = 2**16
# An archive is cut into some 32 pieces, so that two workers end at about the same time; each costs opening the file.
_PIECES = 32
_LEAST_PIECE_BYTES = 256 * 1024
_MOST_PIECE_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class FileCensus:
    """What one file holds.

    Attributes:
        work: the pieces in which it is read.
        items: how many items there are of each kind.
        others: records of archives that are no items, by kind.
        payload_bytes: uncompressed content of the items; neither compression nor cutting of files changes the sum.
        record: the file as the manifest lists it, with the digest of its bytes.
    """

    work: tuple[WorkItem, ...]
    items: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    payload_bytes: int
    record: InputRecord


class _Hashing(io.RawIOBase):
    """A stream that takes the BLAKE2b-256 of what is read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._state = hashlib.blake2b(digest_size=32)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        self._state.update(data)
        buffer[: len(data)] = data
        return len(data)

    def digest(self) -> str:
        """The digest of the whole stream; what was not read yet is read now."""
        while block := self._stream.read(_BLOCK_BYTES):
            self._state.update(block)
        return self._state.hexdigest()


def _blocks(plain: io.BufferedReader[Any]) -> Iterator[bytes]:
    yield from iter(partial(plain.read1, _BLOCK_BYTES), b"")  # `read` would lose what came before damage


def _count_archive(stream: IO[bytes], sniffed: SniffedFile, file: InputFile) -> ItemCount:
    step = max(_LEAST_PIECE_BYTES, min(_MOST_PIECE_BYTES, file.size // _PIECES))
    if sniffed.codec == "gzip":
        members: dict[int, int] = {}
        return scan_archive(plain_blocks(stream, members), sniffed.format, members, step)
    plain = open_plain(stream, sniffed.codec, file.url)
    count = scan_archive(_blocks(plain), sniffed.format, None, step)
    if sniffed.codec:
        count.starts.clear()  # a file compressed as a whole has no places to begin at
    return count


def _count_lines(stream: IO[bytes], sniffed: SniffedFile, file: InputFile) -> ItemCount:
    count = ItemCount()
    open_line = 0  # bytes of the line in hand
    holds = False  # anything but white space

    def end_line() -> None:
        nonlocal open_line, holds
        count.items["row"] += holds
        count.payload_bytes += open_line if holds else 0
        open_line, holds = 0, False

    try:
        for block in _blocks(open_plain(stream, sniffed.codec, file.url)):
            *ended, last = block.split(b"\n")
            for piece in ended:
                open_line += len(piece)
                holds = holds or bool(piece.strip())
                end_line()
            open_line += len(last)
            holds = holds or bool(last.strip())
        end_line()
    except DamagedInputError:
        count.items["rest"] += 1
    return count


def _text_bytes(file: pq.ParquetFile, group: int) -> int:
    try:
        batches = file.iter_batches(row_groups=[group], columns=["text"])
        return sum(pc.sum(pc.binary_length(batch.column(0))).as_py() or 0 for batch in batches)
    except (pa.ArrowException, OSError):
        return 0  # its rows become dead letters


def _count_parquet(stream: IO[bytes]) -> ItemCount:
    count = ItemCount()
    try:
        file = pq.ParquetFile(stream)
    except (pa.ArrowException, OSError):
        count.items["file"] = 1
        return count
    if "text" not in file.schema_arrow.names:
        count.items["file"] = 1
        return count
    groups = range(file.num_row_groups)
    count.items["row"] = sum(file.metadata.row_group(group).num_rows for group in groups)
    count.payload_bytes = sum(_text_bytes(file, group) for group in groups)
    return count


def _count_whole(stream: IO[bytes], sniffed: SniffedFile, file: InputFile) -> ItemCount:
    count = ItemCount(items=Counter(file=1))
    try:
        for block in _blocks(open_plain(stream, sniffed.codec, file.url)):
            count.payload_bytes += len(block)
    except DamagedInputError:
        return count
    return count


def _count(stream: IO[bytes], sniffed: SniffedFile, file: InputFile) -> ItemCount:
    if sniffed.format in {"warc", "arc"}:
        return _count_archive(stream, sniffed, file)
    if sniffed.format == "jsonl":
        return _count_lines(stream, sniffed, file)
    return _count_whole(stream, sniffed, file)


def _pieces(file: InputFile, sniffed: SniffedFile, count: ItemCount) -> tuple[WorkItem, ...]:
    can_be_cut = count.starts and (sniffed.codec is None or count.by_member)
    starts = [0, *count.starts] if can_be_cut else [0]
    ends = [*starts[1:], None]
    by_member = count.by_member and sniffed.codec == "gzip"
    return tuple(
        WorkItem(url=file.url, format=sniffed.format, by_member=by_member, start=start, end=end)
        for start, end in zip(starts, ends, strict=True)
    )


def take_census(file: InputFile) -> FileCensus:
    """Count the items of one file.

    Raises:
        InputError: the file cannot be read.
    """
    sniffed = sniff_file(file.url)
    if sniffed.format == "parquet":
        with open_input(file.url) as raw:
            count = _count_parquet(raw)
    with open_input(file.url) as raw:
        hashing = _Hashing(raw)
        stream = io.BufferedReader(hashing, _BLOCK_BYTES)
        if sniffed.format != "parquet":
            count = _count(stream, sniffed, file)
        digest = hashing.digest()
    return FileCensus(
        work=_pieces(file, sniffed, count),
        items=+count.items,
        others=+count.others,
        payload_bytes=count.payload_bytes,
        record=file.record(digest),
    )
