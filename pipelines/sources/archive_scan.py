"""Counting the records of WARC and ARC files without reading them as records.

A pass of its own, apart from `archives`: blocks of plain content go through a window in which regular expressions
find where headers end and how long contents are. So a row that the reader loses is missed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Literal, NamedTuple

from zlib_ng import zlib_ng as zlib

from pipelines.sources.items import DamagedInputError
from pipelines.sources.source_format import ItemCount, RawInput
from pipelines.sources.window import Window

__all__ = ["count_archive", "plain_blocks"]

_BLOCK_BYTES = 2**16
_MOST_HEADER_BYTES = 2**20
_WARC_END = re.compile(rb"\n\r*\n")
_WARC_VERSION = re.compile(rb"WARC/[0-9]+\.[0-9]+[ \t]*\r*\n")
# Patterns that start at one place of a run only: a header of a mebibyte of blanks costs its length and not its square.
_FOLD = re.compile(rb"(?<!\r)\r*+\n[ \t]+")
_BLANKS = b" \t\v\f\r"
_FIELD = rb"(?im)^[ \t\v\f\r]*%s[ \t\v\f\r]*:([^\n]*)"
_CONTENT_LENGTH = re.compile(_FIELD % rb"content-length")
_WARC_TYPE = re.compile(_FIELD % rb"warc-type")
_ARC_LINE = re.compile(rb"([^\n]+) [^ \n]* [0-9]{8,14} [^ \n]* ([0-9]{1,15})[\r\n]*")
_ITEMS = {"response", "resource", "conversion", "revisit"}


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
            # A block may grow a thousand times; the window behind moves what it holds for each record.
            yield from (found[start : start + _BLOCK_BYTES] for start in range(0, len(found), _BLOCK_BYTES))
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


def _header_end(window: Window, end: re.Pattern[bytes]) -> int | None:
    searched = 0
    while True:
        found = end.search(window.data, max(0, searched - 64))
        if found:
            return found.end() if found.end() <= _MOST_HEADER_BYTES else None
        searched = len(window.data)
        if searched > _MOST_HEADER_BYTES or not window.more():
            return None


def _warc_frame(window: Window) -> _Frame | None:
    end = _header_end(window, _WARC_END)
    header = window.data[:end]
    if end is None or not _WARC_VERSION.match(header):
        return None
    window.drop(end)
    header = _FOLD.sub(b" ", header)
    length = _CONTENT_LENGTH.search(header)
    kind = _WARC_TYPE.search(header)
    if not length or not re.fullmatch(rb"[0-9]{1,15}", length[1].strip(_BLANKS)):
        return None
    return _Frame(kind[1].strip(_BLANKS).decode("latin-1").lower() if kind else "", int(length[1]))


def _arc_frame(window: Window) -> _Frame | None:
    end = _header_end(window, re.compile(rb"\n"))
    line = _ARC_LINE.fullmatch(window.data[:end])
    if end is None or not line:
        return None
    window.drop(end)
    return _Frame("filedesc" if line[1].startswith(b"filedesc://") else "response", int(line[2]))


def _scan(
    blocks: Iterator[bytes], kind: Literal["warc", "arc"], members: dict[int, int] | None, step: int
) -> ItemCount:
    """Count the records in the plain content of an archive.

    Args:
        blocks: the content; may raise DamagedInputError behind its last block.
        kind: what it is.
        members: of a gzip file, filled while `blocks` are taken; None where places are bytes of plain content.
        step: bytes of the file that lie between two of `starts` at least.
    """
    count = ItemCount(by_member=members is not None)
    window = Window(blocks)
    last_start = None
    while window.skip(b"\r\n"):
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


def count_archive(raw: RawInput, kind: Literal["warc", "arc"]) -> ItemCount:
    """Count the records of a WARC or ARC file.

    Raises:
        InputError: the file cannot be read.
    """
    if raw.codec == "gzip":
        members: dict[int, int] = {}
        return _scan(plain_blocks(raw.stream, members), kind, members, raw.step)
    count = _scan(raw.blocks(), kind, None, raw.step)
    if raw.codec:
        count.starts.clear()  # a file compressed as a whole has no places to begin at
    return count
