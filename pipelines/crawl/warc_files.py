"""WARC files (ISO 28500:2009, WARC 1.0), one gzip member a record, that grow by whole records or not at all."""

from __future__ import annotations

import hashlib
import os
import string
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import quote, urlsplit

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipelines.crawl.fetch import Answer
from schemas.errors import StageError
from schemas.identity import warc_record_id

__all__ = ["Position", "WarcFiles", "encode_answer", "part_file", "payload_digest"]

# Headers that were true of the bytes on the wire only; readers of the stored body must not act on them.
_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class Position(NamedTuple):
    """A WARC file, by number, and the byte behind the last record written to it."""

    part: int = 0
    end: int = 0


def part_file(part: int) -> str:
    """Name of the `part`-th file."""
    return f"part-{part:05d}.warc.gz"


def payload_digest(body: bytes) -> str:
    """`sha256:` and the digest in hexadecimal, as in the header `WARC-Payload-Digest`."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


class WarcFiles:
    """Appends answers to `part-00000.warc.gz`, `part-00001.warc.gz` and so on."""

    def __init__(self, folder: Path, limit_bytes: int, about: dict[str, str], position: Position) -> None:
        """Go on behind `position`; what lies there was written by a run that was killed, and is cut off.

        Args:
            folder: where the files lie.
            limit_bytes: a new file is begun when one has this many bytes.
            about: fields of the warcinfo record at the start of each file.
            position: the end of the last record that counts.

        Raises:
            StageError: the files are shorter than `position` says.
        """
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._about = about
        self.position = position
        for path in folder.glob("part-*.warc.gz"):
            if path.name > part_file(position.part):
                path.unlink()
        path = folder / part_file(position.part)
        if position.end and (not path.exists() or path.stat().st_size < position.end):
            raise StageError(f"{path} has lost records; delete {folder} to crawl anew")
        self._stream: BinaryIO = path.open("ab")
        self._stream.truncate(position.end)

    def append(self, records: bytes) -> Position:
        """Write the records of an answer, as `encode_answer` gives them, and wait until the disk has them."""
        if self.position.end >= self._limit_bytes:
            self._stream.close()
            self.position = Position(self.position.part + 1, 0)
            self._stream = (self._folder / part_file(self.position.part)).open("ab")
        if not self.position.end:
            records = self._about_record() + records
        self._stream.write(records)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.position = Position(self.position.part, self.position.end + len(records))
        return self.position

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _about_record(self) -> bytes:
        content = BytesIO()
        writer = WARCWriter(content, gzip=True)
        name = part_file(self.position.part)
        record = writer.create_warcinfo_record(name, self._about)
        key = "\n".join(f"{field}: {value}" for field, value in sorted(self._about.items()))
        record.rec_headers.replace_header("WARC-Record-ID", warc_record_id(name, key, "warcinfo"))
        writer.write_record(record)
        return content.getvalue()


def encode_answer(answer: Answer, digest: str) -> bytes:
    """The records of an answer and of its request; `digest` is that of the body."""
    content = BytesIO()
    writer = WARCWriter(content, gzip=True)
    response_id = warc_record_id(answer.url, digest, "response")
    date = answer.captured_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    shared = {"WARC-Date": date, "WARC-IP-Address": answer.server_address}
    response = writer.create_warc_record(
        answer.url,
        "response",
        payload=BytesIO(answer.body),
        length=len(answer.body),
        http_headers=StatusAndHeaders(f"{answer.status} {answer.reason}", _stored_headers(answer), protocol="HTTP/1.1"),
        warc_headers_dict={**shared, "WARC-Record-ID": response_id, "WARC-Payload-Digest": digest},
    )
    parts = urlsplit(answer.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = writer.create_warc_record(
        answer.url,
        "request",
        http_headers=StatusAndHeaders(f"GET {target} HTTP/1.1", list(answer.request_headers), is_http_request=True),
        warc_headers_dict={
            **shared,
            "WARC-Record-ID": warc_record_id(answer.url, digest, "request"),
            "WARC-Concurrent-To": response_id,
        },
    )
    writer.write_record(response)
    writer.write_record(request)
    return content.getvalue()


def _stored_headers(answer: Answer) -> list[tuple[str, str]]:
    # The body is stored without transfer coding and compression; what the headers said of them is kept under
    # another name, as Common Crawl does.
    headers = []
    for name, value in answer.headers:
        renamed = name.lower() in _OF_THE_WIRE and (answer.decoded or name.lower() != "content-encoding")
        # What is not ASCII is percent-encoded: the library does so to some values, and stumbles over others.
        headers.append((f"X-Crawl-{name}" if renamed else name, quote(value, safe=string.printable)))
    return [*headers, ("Content-Length", str(len(answer.body)))]
