"""The payload of an HTTP response as a crawler stored it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastwarc.warc import WarcRecord, response

from pipelines.sources.content_codings import CODINGS, decode_content
from pipelines.sources.headers import parse_header_block

__all__ = ["HttpResponse", "parse_response"]

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})")
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}[ \t]*(?:;[^\n]{0,1000})?\r?\n")
_END_OF_HEADER = re.compile(rb"\n\r*\n")
# What lies behind it is not looked at: each line costs a hundred bytes, and a header may be as long as a page.
_MOST_HEADER_BYTES = 2**20
# More layers than any server puts on; each costs as much as a page.
_MOST_CODINGS = 4


@dataclass(frozen=True)
class HttpResponse:
    """One response, its body decoded.

    Attributes:
        status: None where the block is no HTTP message.
        content_type: as the header declares it.
        robots: header `X-Robots-Tag`.
        body: without transfer and content coding; cut off behind `limit + 1` bytes.
    """

    status: int | None
    content_type: str | None
    robots: str | None
    body: bytes


def _without_chunks(body: bytes) -> bytes | None:
    """The body without the transfer coding `chunked`; None where it has none."""
    if not _CHUNK_SIZE.match(body):
        return None
    record = WarcRecord()
    record.init_headers(record_type=response)
    record.set_bytes_content(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    record.is_http = True
    try:
        record.parse_http(auto_decode="transfer")
        return bytes(record.reader.read())
    except OSError:
        return None


def _decoded_body(body: bytes, chunked: bool, codings: list[str], limit: int) -> bytes:
    """The body without its codings.

    Crawlers often store a decoded body beside the headers of the encoded one, so each coding that does not fit the
    bytes is taken as removed already; what is then left is judged by its content like everything else.
    """
    if chunked:
        whole = _without_chunks(body)
        body = body if whole is None else whole
    for coding in reversed(codings):  # listed in the order in which they were applied
        plain = decode_content(body, coding, limit + 1)
        body = body if plain is None else plain
    return body[: limit + 1]


def parse_response(block: bytes, limit: int) -> HttpResponse:
    """Parse an HTTP response; where the block is none, all of it is body."""
    status = _STATUS_LINE.match(block)
    if not status:
        return HttpResponse(None, None, None, block[: limit + 1])
    end = _END_OF_HEADER.search(block)
    header = parse_header_block(block[: min(end.start() if end else len(block), _MOST_HEADER_BYTES)])
    body = block[end.end() :] if end else b""
    chunked = "chunked" in (header.get("transfer-encoding") or "").lower()
    stated = (header.get("content-encoding") or "").lower().split(",")
    codings = [name.strip() for name in stated if name.strip() in CODINGS][-_MOST_CODINGS:]
    decoded = _decoded_body(body, chunked, codings, limit) if chunked or codings else body[: limit + 1]
    return HttpResponse(int(status[1]), header.get("content-type"), header.get("x-robots-tag"), decoded)
