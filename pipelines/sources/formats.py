"""What a file holds, told by its first bytes and never by its name."""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import dataclass
from typing import Any

from pipelines.sources.compression import Codec, codec_of, open_plain
from pipelines.sources.items import DamagedInputError, FileFormat
from schemas.storage import open_input

__all__ = ["HEAD_BYTES", "SniffedFile", "looks_like_html", "looks_like_text", "sniff_file"]

# Far more than any signature needs: pages may begin with long comments, rows with long lists.
HEAD_BYTES = 64 * 1024

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_JSON_ROW = re.compile(rb'\s*\{[ \t]*"(?:[^"\\\n]|\\.)*"[ \t]*:')
_BEFORE_HTML = re.compile(rb"(?:\s+|<!--.*?-->|<\?.*?>)*", re.DOTALL)
# The tags by which browsers know HTML (WHATWG MIME sniffing standard, section 7.1), and a few that begin fragments.
_HTML_TAG = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|title|meta|link|script|style|iframe|h[1-6]|div|span|font|table|a|b|i|p|br|"
    rb"ul|ol|dl|pre|center|main|article|section|header|nav|form|img)(?=[\s>/])",
    re.IGNORECASE,
)
_HTML_ROOT = re.compile(rb"<(?:!doctype\s+html|html)[\s>]", re.IGNORECASE)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
# Text may hold a stray control character; in formats that are no text they are every tenth byte and more.
_MOST_CONTROLS = 0.005


@dataclass(frozen=True)
class SniffedFile:
    """What a file holds; `problem` says why its format is unknown."""

    format: FileFormat
    codec: Codec | None = None
    problem: tuple[str, str] | None = None  # name and message of the dead letter


def _without_bom(head: bytes) -> bytes:
    for bom, charset in _BOMS:
        if head.startswith(bom):
            return head[len(bom) :].decode(charset, "ignore").encode("utf-8")
    return head


def looks_like_html(head: bytes) -> bool:
    """Whether content that begins with these bytes is HTML, by its first tag."""
    plain = _without_bom(head)
    before = _BEFORE_HTML.match(plain)
    first = before.end() if before else 0
    if b"<?xml" in plain[:first]:  # XHTML, unless another root follows
        return bool(_HTML_ROOT.match(plain, first))
    return bool(_HTML_TAG.match(plain, first))


def looks_like_text(head: bytes) -> bool:
    """Whether content that begins with these bytes is text in some charset: (nearly) free of control characters."""
    plain = _without_bom(head)
    if b"\0" in plain:
        return False
    controls = len(plain) - len(plain.translate(None, _CONTROLS))
    return controls <= _MOST_CONTROLS * len(plain)


def _format_of(head: bytes) -> FileFormat:
    if head.startswith(b"WARC/"):
        return "warc"
    if head.startswith(b"filedesc://"):
        return "arc"
    if head.startswith(b"PAR1"):
        return "parquet"
    if not looks_like_text(head):
        return "unknown"
    if _JSON_ROW.match(_without_bom(head)):
        return "jsonl"
    if looks_like_html(head):
        return "html"
    # Markup and data of other kinds are text to the eye, but no prose.
    return "unknown" if _without_bom(head).lstrip()[:1] in {b"<", b"{"} else "text"


def _head(plain: io.BufferedReader[Any]) -> tuple[bytes, str]:
    """The first bytes, as many as come out, and why no more do."""
    head = b""
    try:
        while len(head) < HEAD_BYTES and (more := plain.read1(HEAD_BYTES - len(head))):
            head += more
    except DamagedInputError as error:
        return head, str(error)
    return head, ""


def sniff_file(url: str) -> SniffedFile:
    """What the file at `url` holds, by its first bytes.

    Raises:
        InputError: the file cannot be read.
    """
    with open_input(url) as raw:
        codec = codec_of(raw.read(16))
        raw.seek(0)
        head, damage = _head(open_plain(raw, codec, url))
    if damage and not head:
        return SniffedFile("unknown", codec, ("damaged-file", damage))
    if not head.strip():
        return SniffedFile("unknown", codec, ("empty-file", "the file holds nothing"))
    kind = _format_of(head)
    if kind == "unknown":
        return SniffedFile(kind, codec, ("unknown-format", f"no known format begins with {head[:16]!r}"))
    return SniffedFile(kind, codec)
