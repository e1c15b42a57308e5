"""How many items an input holds, counted in a pass that shares no code with the readers of rows.

The counts are what documents, dropped rows and dead letters must add up to. The same pass takes the digest of each
file, the bytes of its content, and the places at which a large archive can be cut for two workers.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import dataclass, field
from typing import IO

from pipelines.sources.inputs import InputFile
from pipelines.sources.items import WorkItem
from pipelines.sources.remote_files import open_source
from pipelines.sources.sniffing import SniffedFile, sniff_file
from pipelines.sources.source_format import ItemCount, RawInput, ReadSettings
from schemas.manifest import InputRecord

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


def _pieces(file: InputFile, sniffed: SniffedFile, count: ItemCount) -> tuple[WorkItem, ...]:
    if sniffed.format is None:
        return (WorkItem(url=file.url, format="unknown", problem=sniffed.problem),)
    name = sniffed.format.name
    can_be_cut = count.starts and (sniffed.codec is None or count.by_member or count.seeks)
    starts = [0, *count.starts] if can_be_cut else [0]
    ends = [*starts[1:], None]
    by_member = count.by_member and sniffed.codec == "gzip"
    return tuple(
        WorkItem(url=file.url, format=name, by_member=by_member, start=start, end=end, seek=count.seeks.get(start))
        for start, end in zip(starts, ends, strict=True)
    )


def take_census(file: InputFile, settings: ReadSettings) -> FileCensus:
    """Count the items of one file.

    Raises:
        InputError: the file cannot be read.
        StageError: a server does not give it.
    """
    sniffed = sniff_file(file.url, settings.fetch)
    step = max(_LEAST_PIECE_BYTES, min(_MOST_PIECE_BYTES, file.size // _PIECES))
    with open_source(file.url, settings.fetch) as raw:
        hashing = _Hashing(raw)
        stream = io.BufferedReader(hashing, _BLOCK_BYTES)
        if sniffed.format is None:
            count = ItemCount(items=Counter(file=1))
        else:
            given = RawInput(file=file, codec=sniffed.codec, stream=stream, settings=settings, step=step)
            count = sniffed.format.count(given)
        digest = hashing.digest()
    return FileCensus(
        work=_pieces(file, sniffed, count),
        items=+count.items,
        others=+count.others,
        payload_bytes=count.payload_bytes,
        record=file.record(digest),
    )
