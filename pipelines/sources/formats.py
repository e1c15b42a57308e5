"""What content looks like by its first bytes: HTML, or text in some charset."""

from __future__ import annotations

import codecs
import re

__all__ = ["HEAD_BYTES", "looks_like_html", "looks_like_text", "without_bom"]

# Far more than any signature needs: pages may begin with long comments, rows with long lists.
HEAD_BYTES = 64 * 1024

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
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


def without_bom(head: bytes) -> bytes:
    """The bytes without their byte order mark, in UTF-8 where it says how to decode them."""
    for bom, charset in _BOMS:
        if head.startswith(bom):
            return head[len(bom) :].decode(charset, "ignore").encode("utf-8")
    return head


def looks_like_html(head: bytes) -> bool:
    """Whether content that begins with these bytes is HTML, by its first tag."""
    plain = without_bom(head)
    before = _BEFORE_HTML.match(plain)
    first = before.end() if before else 0
    if b"<?xml" in plain[:first]:  # XHTML, unless another root follows
        return bool(_HTML_ROOT.match(plain, first))
    return bool(_HTML_TAG.match(plain, first))


def looks_like_text(head: bytes) -> bool:
    """Whether content that begins with these bytes is text in some charset: (nearly) free of control characters."""
    plain = without_bom(head)
    if b"\0" in plain:
        return False
    controls = len(plain) - len(plain.translate(None, _CONTROLS))
    return controls <= _MOST_CONTROLS * len(plain)
