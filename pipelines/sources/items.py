"""What the readers give: items, dead items, and the pieces of work that items are read from.

One item is one response, resource, conversion or revisit record, one JSONL or Parquet row, one page of a wiki, or one
file. What lies behind the last whole item of a damaged file is one item too: the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.errors import CorpusmillError

__all__ = [
    "Address",
    "DamagedInputError",
    "DeadItem",
    "Item",
    "ItemError",
    "WorkItem",
    "parse_time",
]


class ItemError(CorpusmillError):
    """One item cannot become a document; it becomes a dead letter with this name and message.

    Attributes:
        name: short and stable, such as `too-large`.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class DamagedInputError(CorpusmillError):
    """The bytes of an input are damaged; what lies behind cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where an item lies and when it was captured; kept beside a row, never part of its identity.

    Attributes:
        record_file: URL of the input file.
        record_offset: for WARC and ARC the byte in the file (in the plain content where not every record begins a
            gzip member of its own); for JSONL the byte of the line in the plain content; for Parquet the row.
        record_id: the record's or row's own id, as it is stated.
        captured_at: as the record states it, with a zone.
    """

    record_file: str
    record_offset: int = 0
    record_id: str | None = None
    captured_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item. `body` is what is still to be decoded, `text` what was given as text.

    Attributes:
        kind: what the item is: `response`, `resource`, `conversion`, `revisit`, `row`, `page`, `file`, or what a
            source of its own calls it.
        address: where it lies.
        url: verbatim, as the record states it.
        content_type: as HTTP or the record declares it, or as the content of a file shows.
        status: HTTP status code.
        robots: header `X-Robots-Tag`.
        body: decoded payload; at most one byte more than the largest item allowed.
        text: text of a row or page, in place of a body.
        title: title of a row or page.
        language: language that a row states.
        refused: rule by which the source drops the item, such as `wiki-redirect`.
    """

    kind: str
    address: Address
    url: str | None = None
    content_type: str | None = None
    status: int | None = None
    robots: str | None = None
    body: bytes = b""
    text: str | None = None
    title: str | None = None
    language: str | None = None
    refused: str | None = None

    @property
    def record_key(self) -> str:
        """What identifies the record beside its content: its URL, else its own id, else nothing."""
        return self.url or self.address.record_id or ""


@dataclass(frozen=True, kw_only=True)
class DeadItem:
    """An item that could not be read."""

    address: Address
    name: str
    message: str
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class WorkItem:
    """A file, or the records of a file that begin in [start, end), that one worker reads.

    Attributes:
        url: the file.
        format: name of what the file holds.
        by_member: each record begins a gzip member of its own, so offsets are bytes of the file itself.
        start: byte at which the first record begins, as in `Address.record_offset`.
        end: byte at which the next piece begins; None for the end of the file.
        seek: byte of the file at which decompression begins, where `start` is a place of plain content.
        only: offsets of the items wanted; None for all.
        problem: name and message of the one dead item of a file that nobody can read.
    """

    url: str
    format: str
    by_member: bool = False
    start: int = 0
    end: int | None = None
    seek: int | None = None
    only: frozenset[int] | None = None
    problem: tuple[str, str] | None = None

    def wants(self, offset: int) -> bool:
        """Whether the item at this offset is wanted."""
        return self.only is None or offset in self.only


def parse_time(text: str | None) -> datetime | None:
    """The time that a record states: ISO 8601, or up to fourteen digits as in ARC; None where it is neither.

    A time without zone is taken as UTC.
    """
    if not text:
        return None
    stated = text.strip()
    if stated.isdigit() and 8 <= len(stated) <= 14:
        stated = f"{stated[:8]}T{stated[8:].ljust(6, '0')}"
    try:
        time = datetime.fromisoformat(stated)
    except ValueError:
        return None
    if time.tzinfo is None:
        return time.replace(tzinfo=UTC)
    try:
        return time.astimezone(UTC)
    except OverflowError:
        return None
