"""Counting the records of WARC and ARC files without reading them as records.

A pass of its own, apart from `archives`: blocks of plain content go through a window in which regular expressions
find where headers end and how long contents are. So a row that the reader loses is missed.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from pipelines.sources.items import DamagedInputError, FileFormat

__all__ = ["ItemCount", "plain_blocks", "scan_archive"]

_BLOCK_BYTES = 2**16
_MOST_HEADER_BYTES = 2**20
_WARC_END = re.compile(rb"\n\r*\n")
_WARC_VERSION = re.compile(rb"WARC/[0-9]+\.[0-9]+[ \t]*\r*\n")
_FOLD = re.compile(rb"\r*\n[ \t]+")
_FIELD = rb"(?im)^[ \t\v\f\r]*%s[ \t\v\f\r]*:[ \t\v\f\r]*([^\n]*?)[ \t\v\f\r]*$"
_CONTENT_LENGTH = re.compile(_FIELD % rb"content-length")
_WARC_TYPE = re.compile(_FIELD % rb"warc-type")
_ARC_LINE = re.compile(rb"([^\n]+) [^ \n]* [0-9]{8,14} [^ \n]* ([0-9]{1,15})[\r\n]*")
_ITEMS = {"response", "resource", "conversion", "revisit"}


@dataclass
class ItemCount:
    """What a file holds.

    Attributes:
        items: how many there are of each kind; `rest` is what lies behind the last whole record of a damaged file.
        others: records that are no items, by kind.
        payload_bytes: content of the items, as it is stored.
        starts: places at least a step apart at which records begin, the first record's left out.
        by_member: each record begins a gzip member of its own.
    """

    items: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    payload_bytes: int = 0
    starts: list[int] = field(default_factory=list)
    by_member: bool = False


class _Frame(NamedTuple):
    kind: str
    length: int


def plain_blocks(stream: IO[bytes], members: dict[int, int]) -> Iterator[bytes]:
    """The plain content of a gzip file (RFC 1952) in blocks.

    Args:
        stream: the file, at its beginning.
        members: takes the byte of the file at which each member begins, by its byte of plain content.

    Raises:
        DamagedInputError: behind the last block that could be decompressed.
    """
    member: zlib._Decompress | None = None
    plain = taken = 0
    while block := stream.read(_BLOCK_BYTES):
        taken += len(block)
        while block:
            if member is None:
                if plain and not block.strip(b"\0"):
                    break
                member = zlib.decompressobj(zlib.MAX_WBITS | 16)
                members[plain] = taken - len(block)
            before = member.copy()
            try:
                found = member.decompress(block)
            except zlib.error:
                yield from _until_damage(before, block)
            plain += len(found)
            yield found
            block = member.unused_data
            member = None if member.eof else member
    if member is not None:
        raise DamagedInputError("cut off")


def _until_damage(member: zlib._Decompress, block: bytes) -> Iterator[bytes]:
    for byte in block:
        try:
            yield member.decompress(bytes((byte,)))
        except zlib.error as error:
            raise DamagedInputError(str(error)) from error


class _Window:
    """A part of the plain content."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.data = b""
        self.place = 0  # of the first byte of `data`
        self.damaged = False

    def more(self) -> bool:
        """Append a block; False at the end."""
        try:
            block = next(self._blocks, None)
        except DamagedInputError:
            self.damaged = True
            return False
        if block is None:
            return False
        self.data += block
        return True

    def drop(self, count: int) -> bool:
        """Pass `count` bytes; False where the content ends before."""
        while len(self.data) < count:
            count -= len(self.data)
            self.place += len(self.data)
            self.data = b""
            if not self.more():
                return False
        self.place += count
        self.data = self.data[count:]
        return True

    def to_record(self) -> bool:
        """Pass empty lines; False at the end."""
        while True:
            self.drop(len(self.data) - len(self.data.lstrip(b"\r\n")))
            if self.data:
                return True
            if not self.more():
                return False


def _header_end(window: _Window, end: re.Pattern[bytes]) -> int | None:
    searched = 0
    while True:
        found = end.search(window.data, max(0, searched - 64))
        if found:
            return found.end() if found.end() <= _MOST_HEADER_BYTES else None
        searched = len(window.data)
        if searched > _MOST_HEADER_BYTES or not window.more():
            return None


def _warc_frame(window: _Window) -> _Frame | None:
    end = _header_end(window, _WARC_END)
    header = window.data[:end]
    if end is None or not _WARC_VERSION.match(header):
        return None
    window.drop(end)
    header = _FOLD.sub(b" ", header)
    length = _CONTENT_LENGTH.search(header)
    kind = _WARC_TYPE.search(header)
    if not length or not re.fullmatch(rb"[0-9]{1,15}", length[1]):
        return None
    return _Frame(kind[1].decode("latin-1").lower() if kind else "", int(length[1]))


def _arc_frame(window: _Window) -> _Frame | None:
    end = _header_end(window, re.compile(rb"\n"))
    line = _ARC_LINE.fullmatch(window.data[:end])
    if end is None or not line:
        return None
    window.drop(end)
    return _Frame("filedesc" if line[1].startswith(b"filedesc://") else "response", int(line[2]))


def scan_archive(blocks: Iterator[bytes], kind: FileFormat, members: dict[int, int] | None, step: int) -> ItemCount:
    """Count the records in the plain content of an archive.

    Args:
        blocks: the content; may raise DamagedInputError behind its last block.
        kind: `warc` or `arc`.
        members: of a gzip file, filled while `blocks` are taken; None where places are bytes of plain content.
        step: bytes of the file that lie between two of `starts` at least.
    """
    count = ItemCount(by_member=members is not None)
    window = _Window(blocks)
    last_start = None
    while window.to_record():
        place = window.place if members is None else members.get(window.place)
        if members is not None:
            for passed in [one for one in members if one <= window.place]:
                del members[passed]
        frame = _warc_frame(window) if kind == "warc" else _arc_frame(window)
        if frame is None or not window.drop(frame.length):
            window.damaged = True
            break
        if place is None:
            count.by_member = False
        elif last_start is None or place - last_start >= step:
            count.starts += [] if last_start is None else [place]
            last_start = place
        if frame.kind in _ITEMS:
            count.items[frame.kind] += 1
            count.payload_bytes += frame.length
        else:
            count.others[frame.kind or "untyped"] += 1
    if window.damaged:
        count.items["rest"] += 1
    return count
