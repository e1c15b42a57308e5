"""What content looks like by its first bytes: HTML, or text in some charset."""

from __future__ import annotations

import codecs
import re

__all__ = ["HEAD_BYTES", "first_tag", "looks_like_html", "looks_like_text", "unicode_form", "without_bom"]

# Far more than any signature needs: pages may begin with long comments, rows with long lists.
HEAD_BYTES = 64 * 1024

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Nothing may follow it in a pattern: there are 2^n ways to take n blanks, and all would be tried.
_BEFORE_TAG = re.compile(rb"(?:\s+|<!--.*?-->|<\?.*?>)*", re.DOTALL)
# The tags by which browsers know HTML (WHATWG MIME sniffing standard, section 7.1), and a few that begin fragments.
_HTML_TAG = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|title|meta|link|script|style|iframe|h[1-6]|div|span|font|table|a|b|i|p|br|"
    rb"ul|ol|dl|pre|center|main|article|section|header|nav|form|img)(?=[\s>/])",
    re.IGNORECASE,
)
_HTML_ROOT = re.compile(rb"<(?:!doctype\s+html|html)[\s>]", re.IGNORECASE)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
# Text may hold a stray control character, NUL too; in formats that are no text they are every tenth byte and more, or
# come in rows, as NUL in a tar of texts.
_MOST_CONTROLS, _FREE_CONTROLS, _ROW_OF_NULS = 0.005, 2, bytes(8)
# Of the first and of the second bytes of pairs: in UTF-16 every ASCII character has a zero, always on one side.
_LEAST_ZEROS, _ZEROS_OF_UTF16, _STRAY_ZEROS = 4, 0.02, 0.001


def unicode_form(content: bytes) -> tuple[str | None, int]:
    """The charset that a byte order mark shows, or the zeros of UTF-16 without one, and the bytes of the mark."""
    for bom, charset in _BOMS:
        if content.startswith(bom):
            return charset, len(bom)
    head = content[:HEAD_BYTES]
    if b"\0" in head:
        zeros = sorted((head[side::2].count(0), charset) for side, charset in enumerate(("utf-16-be", "utf-16-le")))
        (fewer, _), (more, charset) = zeros
        if more >= max(_LEAST_ZEROS, _ZEROS_OF_UTF16 * len(head) / 2) and fewer <= _STRAY_ZEROS * len(head) / 2:
            return charset, 0
    return None, 0


def without_bom(head: bytes) -> bytes:
    """The bytes without their byte order mark, in UTF-8 where they show how to decode them."""
    charset, mark = unicode_form(head)
    return head[mark:].decode(charset, "ignore").encode("utf-8") if charset else head


def first_tag(plain: bytes) -> int:
    """Where the first tag of markup begins, behind white space, comments and processing instructions."""
    before = _BEFORE_TAG.match(plain)
    return before.end() if before else 0


def looks_like_html(head: bytes) -> bool:
    """Whether content that begins with these bytes is HTML, by its first tag."""
    plain = without_bom(head)
    first = first_tag(plain)
    if b"<?xml" in plain[:first]:  # XHTML, unless another root follows
        return bool(_HTML_ROOT.match(plain, first))
    return bool(_HTML_TAG.match(plain, first))


def looks_like_text(head: bytes) -> bool:
    """Whether content that begins with these bytes is text in some charset: nearly free of control characters."""
    plain = without_bom(head)
    controls = len(plain) - len(plain.translate(None, _CONTROLS))
    return _ROW_OF_NULS not in plain and controls <= max(_FREE_CONTROLS, _MOST_CONTROLS * len(plain))
