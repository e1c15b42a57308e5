"""From bytes to text: byte order mark, HTTP header, declaration in the page, then detection."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from charset_normalizer import from_bytes
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from pipelines.sources.formats import unicode_form

__all__ = ["decode_body", "utf8_of"]

# Possessive, since a header may be as long as a page.
_NAMED = r"charset\s*+=\s*+[\"']?+\s*+([\w:.+-]+)"
_IN_HEADER = re.compile(_NAMED, re.IGNORECASE)
_IN_PAGE = re.compile(rb"<meta[^>]{0,200}?" + _NAMED.encode(), re.IGNORECASE)
_IN_XML = re.compile(rb"^\s*<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([\w:.+-]+)")
_DECLARED_WITHIN_BYTES = 4096
# The slow detector takes 0.1 s for as much.
_DETECTED_WITHIN_BYTES = 16 * 1024
_NON_ASCII = bytes(range(128, 256))
# Pages say EUC-KR and mean Microsoft's superset of it, and so on: browsers decode these names as the wider charset.
_WIDER = {
    "euc_kr": "cp949",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
    "iso8859-11": "cp874",
}
# One undecodable place in ten non-ASCII bytes is a page with a flaw, more is a page in another charset.
_FLAWS_PER_BYTE = 0.1


def _known(label: str | None) -> str | None:
    return map_encoding_to_html5(label, fallback_utf8=False) if label else None


def _declared(body: bytes, content_type: str | None, html: bool) -> Iterator[str]:
    in_header = _IN_HEADER.search(content_type or "")
    if charset := _known(in_header[1] if in_header else None):
        yield charset
    if not html:
        return
    head = body[:_DECLARED_WITHIN_BYTES]
    in_page = _IN_PAGE.search(head) or _IN_XML.search(head)
    if charset := _known(in_page[1].decode("ascii", "replace") if in_page else None):
        # A declaration that can be read byte by byte is not in UTF-16 (HTML standard, section 13.2.3.2).
        yield "utf-8" if charset.startswith("utf-16") else charset


def _try(body: bytes, charset: str) -> str | None:
    text = body.decode(_WIDER.get(charset, charset), "replace")
    if "\ufffd" not in text:
        return text
    flaws = text.count("\ufffd")
    num_non_ascii = len(body) - len(body.translate(None, _NON_ASCII))
    return text if flaws <= _FLAWS_PER_BYTE * num_non_ascii else None


def _is_single_byte(charset: str) -> bool:
    return charset.startswith(("cp125", "iso8859", "koi8", "mac"))


def decode_body(body: bytes, content_type: str | None, *, html: bool) -> tuple[str, str]:
    """The text of a payload and the name of its charset.

    A declared charset is believed unless the bytes refute it. Charsets of one byte per character refute nothing, so
    where one of them is declared over bytes that are UTF-8 with characters of more than one byte, they are UTF-8.
    No payload is refused: what cannot be decoded becomes U+FFFD.

    Args:
        body: the payload.
        content_type: header `Content-Type`, which may name the charset.
        html: whether declarations inside the page count.
    """
    shown, mark = unicode_form(body)
    if shown:
        return body[mark:].decode(shown, "replace"), shown
    for charset in _declared(body, content_type, html):
        if _is_single_byte(charset) and (text := _strict_utf8(body)) is not None:
            return text, "utf-8"
        if (text := _try(body, charset)) is not None:
            return text, _name(charset)
    if (text := _strict_utf8(body)) is not None:
        return text, "utf-8"
    detected = _detected(body)
    return body.decode(_WIDER.get(detected, detected), "replace"), _name(detected)


def utf8_of(body: bytes, text: str, charset: str) -> bytes:
    """The UTF-8 of what `decode_body` gave for `body`, which is mostly the body itself."""
    if charset == "utf-8" and "\ufffd" not in text and not body.startswith(codecs.BOM_UTF8):
        return body
    return text.encode("utf-8", "ignore")


def _detected(body: bytes) -> str:
    fast = _known(detect_encoding(body)) or "utf-8"
    if fast != "utf-8":
        return fast
    # It is not UTF-8, which the fast detector says of EUC-KR too; the slow one looks at the languages behind.
    best = from_bytes(body[:_DETECTED_WITHIN_BYTES]).best()
    if best is None:
        return fast
    return next((narrow for narrow, wide in _WIDER.items() if wide == best.encoding), best.encoding)


def _strict_utf8(body: bytes) -> str | None:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _name(charset: str) -> str:
    return charset.replace("cp125", "windows-125").replace("_", "-")
