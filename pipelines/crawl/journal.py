"""What a crawl has done so far, one JSON line each, in the order in which answers came.

A line is appended after the records that it speaks of are on the disk. So after a kill at any moment each line is
true, and what no line speaks of was not done: half a line is cut off, as are the bytes of WARC files behind the end
that the last line states. The order of the lines says nothing: where a crawl stands follows from which there are.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from schemas.errors import StageError

__all__ = ["Entry", "Item", "Journal", "RobotsRead", "Visit"]


class Item(NamedTuple):
    """A URL to ask for: links from a seed, redirects in a row that led here, and what it is."""

    url: str
    depth: int = 0
    redirects: int = 0
    kind: Literal["page", "sitemap", "inner-sitemap"] = "page"


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Visit(_Line):
    """One URL dealt with.

    Attributes:
        url: the URL.
        outcome: what became of it.
        status: of the answer, where there was one.
        payload_bytes: bytes of its body.
        payload_digest: of the recorded answer; empty where none was recorded.
        part: the WARC file that the answer is in.
        end: where its records end.
        links: URLs that it names, without those that had been taken into account before it was asked for.
        sitemaps: sitemaps that it names, the same way.
        target: where it redirects to.
        not_followed: links behind nofollow.
        leave_alone: whether the host asked for a longer pause than the crawl has.
        retries: tries before the last one.
        error: short stable name of what went wrong.
        message: what went wrong.
    """

    line: Literal["visit"] = "visit"
    url: str
    outcome: Literal["page", "noindex", "redirect", "status", "sitemap", "robots-denied", "content-type", "failed"]
    status: int | None = None
    payload_bytes: int = 0
    payload_digest: str = ""
    part: int | None = None
    end: int = 0
    links: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()
    target: str | None = None
    not_followed: int = 0
    leave_alone: bool = False
    retries: int = 0
    error: str = ""
    message: str = ""


class RobotsRead(_Line):
    """One robots.txt asked for. `text` is None where the host could not say: then nothing of it may be fetched."""

    line: Literal["robots"] = "robots"
    origin: str
    read_at: datetime.datetime
    text: str | None
    found: tuple[str, ...] = ()  # sitemaps
    retries: int = 0
    error: str = ""
    message: str = ""


Entry = Visit | RobotsRead
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="line")])


class Journal:
    """The file of lines, open for appending, and for reading again what was appended."""

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, or begin it; half a line at its end is cut off."""
        self._path = path
        self._stream = path.open("a+b")
        self._end = _end_of_last_line(path)
        self._stream.truncate(self._end)

    def lines(self) -> Iterator[tuple[int, Entry]]:
        """Every line and where it begins.

        Raises:
            StageError: a line is damaged.
        """
        with self._path.open("rb") as stream:
            start = 0
            for line in stream:
                yield start, self._parsed(line)
                start += len(line)

    def read(self, start: int) -> Entry:
        """The line that begins at `start`.

        Raises:
            StageError: it is damaged.
        """
        self._stream.seek(start)
        return self._parsed(self._stream.readline())

    def append(self, entry: Entry) -> int:
        """Write a line; gives where it begins.

        It is not waited for: a line that a power failure takes away is of a page that will be asked for once more.
        """
        start = self._end
        self._end += self._stream.write(entry.model_dump_json().encode("utf-8") + b"\n")
        self._stream.flush()
        return start

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _parsed(self, line: bytes) -> Entry:
        try:
            return _ENTRY.validate_json(line)
        except ValidationError as error:
            raise StageError(f"{self._path} is damaged; delete {self._path.parent} to crawl anew") from error


def _end_of_last_line(path: Path) -> int:
    end = 0
    with path.open("rb") as stream:
        for line in stream:
            end += len(line) if line.endswith(b"\n") else 0
    return end
