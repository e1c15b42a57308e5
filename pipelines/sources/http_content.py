"""The payload of an HTTP response as a crawler stored it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastwarc.warc import WarcRecord, response

from pipelines.sources.headers import parse_header_block

__all__ = ["HttpResponse", "parse_response"]

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})")
_END_OF_HEADER = re.compile(rb"\n\r*\n")
_CODINGS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "br": "br", "zstd": "zstd"}


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


def _decode(body: bytes, chunked: bool, codings: list[str], limit: int) -> bytes:
    fields = [f"Content-Encoding: {', '.join(codings)}"] if codings else []
    fields += ["Transfer-Encoding: chunked"] if chunked else []
    record = WarcRecord()
    record.init_headers(record_type=response)
    record.set_bytes_content("\r\n".join(["HTTP/1.1 200 OK", *fields, "", ""]).encode("ascii") + body)
    record.is_http = True
    record.parse_http(auto_decode="all")
    return bytes(record.reader.read(limit + 1))


def _decoded_body(body: bytes, chunked: bool, codings: list[str], limit: int) -> bytes:
    """The body without its codings.

    Crawlers often store a decoded body beside the headers of the encoded one, so each coding that does not fit the
    bytes is taken as removed already; what is then left is judged by its content like everything else.
    """
    for is_chunked, left in ((chunked, codings), (False, codings), (chunked, [])):
        if is_chunked or left:
            try:
                return _decode(body, is_chunked, left, limit)
            except OSError:
                continue
    return body[: limit + 1]


def parse_response(block: bytes, limit: int) -> HttpResponse:
    """Parse an HTTP response; where the block is none, all of it is body."""
    status = _STATUS_LINE.match(block)
    if not status:
        return HttpResponse(None, None, None, block[: limit + 1])
    end = _END_OF_HEADER.search(block)
    header = parse_header_block(block[: end.start()] if end else block)
    body = block[end.end() :] if end else b""
    chunked = "chunked" in (header.get("transfer-encoding") or "").lower()
    stated = (header.get("content-encoding") or "").lower().split(",")
    codings = [_CODINGS[name.strip()] for name in stated if name.strip() in _CODINGS]
    decoded = _decoded_body(body, chunked, codings, limit) if chunked or codings else body[: limit + 1]
    return HttpResponse(int(status[1]), header.get("content-type"), header.get("x-robots-tag"), decoded)
