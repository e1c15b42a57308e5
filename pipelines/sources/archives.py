"""Reading WARC (ISO 28500:2017) and ARC (Internet Archive, version 1) files, whole or a range of their records.

A file is a row of records with empty lines between them. Where something else comes, or the file ends inside a
record, the records before it count, and the rest of the file is one dead item.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO

from pipelines.sources.archive_scan import count_archive
from pipelines.sources.compression import Places, codec_of, open_plain
from pipelines.sources.headers import parse_header_block
from pipelines.sources.http_content import parse_response
from pipelines.sources.items import Address, DamagedInputError, DeadItem, Item, WorkItem, parse_time
from pipelines.sources.remote_files import open_source
from pipelines.sources.source_format import ReadSettings, SourceFormat

__all__ = ["ARC", "WARC", "read_archive"]

_MOST_HEADER_BYTES = 2**20
_VERSION_LINE = re.compile(rb"WARC/\d+\.\d+[ \t]*\r*\n")
_LENGTH = re.compile(r"\d{1,15}")
_SKIP_BYTES = 2**20
# Room for the header of an HTTP message, which does not count against the largest item.
_HTTP_HEADER_BYTES = 64 * 1024
_KINDS = frozenset({"response", "resource", "conversion", "revisit"})


class _Plain:
    """The plain content of an archive, with its place in the file."""

    def __init__(self, raw: IO[bytes], work: WorkItem) -> None:
        codec = codec_of(raw.read(16))
        raw.seek(work.start)
        self._members: Places = {}
        places = self._members if work.by_member else None
        self._stream = open_plain(raw, codec, work.url, work.start, places)
        self._by_member = work.by_member
        self._base = work.start
        self.position = 0

    def place(self) -> int:
        """The place of the record that begins here, as `Address.record_offset` has it."""
        if self._by_member:
            # Behind the last whole record something may come that begins no member.
            return self._members.pop(self.position, self._base)
        return self.position + self._base

    def skip_blank(self) -> bool:
        """Pass empty lines; False at the end of the file."""
        while ahead := self._stream.peek(1):
            blank = len(ahead) - len(ahead.lstrip(b"\r\n"))
            self._stream.read(blank)
            self.position += blank
            if blank < len(ahead):
                return True
        return False

    def line(self, limit: int) -> bytes:
        """One line with its end."""
        line = self._stream.readline(limit)
        self.position += len(line)
        if not line.endswith(b"\n"):
            raise DamagedInputError("the file ends inside a header" if len(line) < limit else "a header is too long")
        return line

    def block(self, length: int) -> bytes:
        """Exactly so many bytes."""
        data = self._stream.read(length)
        self.position += len(data)
        if len(data) < length:
            raise DamagedInputError(f"the file ends {length - len(data)} bytes before the end of a record")
        return data

    def skip(self, length: int) -> None:
        """Pass so many bytes without keeping them."""
        while length:
            length -= len(self.block(min(length, _SKIP_BYTES)))


@dataclass(frozen=True)
class _Header:
    """What the header of a record says."""

    kind: str
    length: int
    url: str | None
    record_id: str | None
    date: str | None
    content_type: str | None


def _warc_header(plain: _Plain) -> _Header:
    lines = [plain.line(_MOST_HEADER_BYTES)]
    if not _VERSION_LINE.fullmatch(lines[0]):
        raise DamagedInputError(f"{lines[0][:40]!r} stands where a record should begin")
    left = _MOST_HEADER_BYTES - len(lines[0])
    while lines[-1].strip(b"\r\n"):
        lines.append(plain.line(left))
        left -= len(lines[-1])
    fields = parse_header_block(b"".join(lines))
    length = fields.get("content-length") or ""
    if not _LENGTH.fullmatch(length):
        raise DamagedInputError(f"a record has Content-Length {length!r}, which is no number of bytes")
    url = fields.get("warc-target-uri")
    if url and url.startswith("<") and url.endswith(">"):
        url = url[1:-1]  # the brackets of WARC 1.0's grammar, which most writers leave out
    return _Header(
        kind=(fields.get("warc-type") or "").lower(),
        length=int(length),
        url=url,
        record_id=fields.get("warc-record-id"),
        date=fields.get("warc-date"),
        content_type=fields.get("content-type"),
    )


def _arc_header(plain: _Plain) -> _Header:
    line = plain.line(_MOST_HEADER_BYTES)
    parts = line.strip(b"\r\n").rsplit(b" ", 4)
    is_header = len(parts) == 5 and parts[0] and 8 <= len(parts[2]) <= 14 and parts[2].isdigit()
    if not is_header or not parts[4].isdigit() or len(parts[4]) > 15:
        raise DamagedInputError(f"{line[:40]!r} stands where a record should begin")
    url = parts[0].decode("utf-8", "replace")
    return _Header(
        kind="filedesc" if url.startswith("filedesc://") else "response",
        length=int(parts[4]),
        url=url,
        record_id=None,
        date=parts[2].decode("ascii"),
        content_type=parts[3].decode("ascii", "replace"),
    )


def _item(header: _Header, address: Address, block: bytes, limit: int) -> Item | DeadItem:
    kind = header.kind
    content_type = header.content_type
    if kind in {"response", "revisit"}:
        http = parse_response(block, limit)
        stated = None if (content_type or "").startswith("application/http") else content_type
        item = Item(
            kind=kind,
            address=address,
            url=header.url,
            content_type=http.content_type or stated,
            status=http.status,
            robots=http.robots,
            body=http.body,
        )
    else:
        item = Item(kind=kind, address=address, url=header.url, content_type=content_type, body=block[: limit + 1])
    if len(item.body) > limit:
        return _too_large(header, address, limit)
    return item


def _too_large(header: _Header, address: Address, limit: int) -> DeadItem:
    message = f"the content has more than {limit} bytes (max_item_bytes)"
    return DeadItem(address=address, name="too-large", message=message, url=header.url)


def _records(plain: _Plain, work: WorkItem, limit: int) -> Iterator[Item | DeadItem]:
    read_header = _warc_header if work.format == "warc" else _arc_header
    place = work.start
    try:
        while plain.skip_blank():
            place = plain.place()
            if work.end is not None and place >= work.end:
                return
            header = read_header(plain)
            if header.kind not in _KINDS or not work.wants(place):
                plain.skip(header.length)
                continue
            address = Address(
                record_file=work.url,
                record_offset=place,
                record_id=header.record_id,
                captured_at=parse_time(header.date),
            )
            if header.length > limit + _HTTP_HEADER_BYTES:
                plain.skip(header.length)
                yield _too_large(header, address, limit)
            else:
                block = plain.block(header.length)
                yield _item(header, address, block, limit)
    except DamagedInputError as error:
        if work.only is None:
            rest = Address(record_file=work.url, record_offset=place)
            yield DeadItem(address=rest, name="damaged-rest", message=f"from byte {place}: {error}")


def read_archive(work: WorkItem, settings: ReadSettings) -> Iterator[Item | DeadItem]:
    """The items of a WARC or ARC file, in their order; other records are passed over.

    Raises:
        InputError: the file cannot be read.
    """
    with open_source(work.url, settings.fetch) as raw:
        yield from _records(_Plain(raw, work), work, settings.max_item_bytes)


WARC = SourceFormat(
    name="warc",
    matches=lambda head: head.startswith(b"WARC/"),
    count=partial(count_archive, kind="warc"),
    read=read_archive,
)
ARC = SourceFormat(
    name="arc",
    matches=lambda head: head.startswith(b"filedesc://"),
    count=partial(count_archive, kind="arc"),
    read=read_archive,
)
