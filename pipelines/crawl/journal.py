"""What a crawl has done so far, one JSON line each; the state of a crawl is what its lines give when read in order.

A line is appended after the records that it speaks of are on the disk. So after a kill at any moment each line is
true, and what no line speaks of was not done: half a line is cut off, as are the bytes of WARC files behind the end
that the last line states.
"""

from __future__ import annotations

import datetime
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
    kind: Literal["page", "sitemap"] = "page"


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Visit(_Line):
    """One URL dealt with."""

    line: Literal["visit"] = "visit"
    url: str
    outcome: Literal["page", "redirect", "status", "sitemap", "robots-denied", "content-type", "failed"]
    status: int | None = None  # of the answer, where there was one
    payload_bytes: int = 0
    payload_digest: str = ""  # of the recorded answer; empty where none was recorded
    part: int | None = None  # the WARC file that the answer is in, and where its records end
    end: int = 0
    found: tuple[Item, ...] = ()  # URLs seen here for the first time
    outside: int = 0  # links that lead off the crawled hosts, or too deep
    retries: int = 0
    error: str = ""
    message: str = ""


class RobotsRead(_Line):
    """One robots.txt asked for. `text` is None where the host could not say: then nothing of it may be fetched."""

    line: Literal["robots"] = "robots"
    origin: str
    read_at: datetime.datetime
    text: str | None
    found: tuple[Item, ...] = ()  # sitemaps
    retries: int = 0
    error: str = ""
    message: str = ""


Entry = Visit | RobotsRead
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="line")])


class Journal:
    """The file of lines, open for appending."""

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, or begin it; half a line at its end is cut off.

        Raises:
            StageError: a line before the last one is damaged.
        """
        content = path.read_bytes() if path.exists() else b""
        whole = content.rfind(b"\n") + 1
        try:
            self.entries: list[Entry] = [_ENTRY.validate_json(line) for line in content[:whole].splitlines()]
        except ValidationError as error:
            raise StageError(f"{path} is damaged; delete {path.parent} to crawl anew") from error
        self._stream = path.open("ab")
        self._stream.truncate(whole)

    def append(self, entry: Entry) -> None:
        """Write a line.

        It is not waited for: a line that a power failure takes away is of a page that will be asked for once more.
        """
        self._stream.write(entry.model_dump_json().encode("utf-8") + b"\n")
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
