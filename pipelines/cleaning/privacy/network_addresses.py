"""E-mail and IP addresses in text."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

__all__ = ["Span", "email_addresses", "ipv4_addresses", "ipv6_addresses"]

# Start and end in code points.
Span = tuple[int, int]

# Latin, Greek and Cyrillic letters: what addresses of other than ASCII are made of. Boundaries are of the same
# characters, since Chinese and Japanese put no space before an address.
_LETTER = r"A-Za-z0-9\u00c0-\u024f\u0370-\u052f"
_EMAIL = re.compile(
    rf"(?<![{_LETTER}.+_%-])[{_LETTER}][{_LETTER}._%+-]{{0,63}}@"
    rf"(?:[{_LETTER}](?:[{_LETTER}-]{{0,61}}[{_LETTER}])?\.)+([A-Za-z]{{2,24}}|xn--[a-z0-9-]{{2,59}})(?![{_LETTER}_-])"
)
# `logo@2x.png` is a file for dense screens.
_FILE_ENDINGS = frozenset({"png", "jpg", "jpeg", "gif", "webp", "svg", "css", "js"})

_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|-[A-Za-z]|\.\d)", re.ASCII)
_VERSION_BEFORE = re.compile(r"\b(?:v|version|release|firmware|build|ver\.?|rev\.?)\s{0,2}$", re.IGNORECASE)
_OUTLINE_AFTER = re.compile(r" [^\W\d_]")
_OUTLINE_PARTS_BELOW = 30
# Global unicast addresses begin with 2 or 3 (RFC 4291, section 2.4); what else parses, such as `dead::beef`, is no
# address of anybody.
_IPV6 = re.compile(r"(?<![\w:.])[23][0-9a-f]{3}:(?:[0-9a-f]{0,4}:){1,6}(?:[0-9a-f]{1,4})?(?![\w:])", re.ASCII | re.I)

_MAYBE_IPV6 = re.compile(r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]")


def email_addresses(text: str) -> Iterator[Span]:
    """E-mail addresses, those of internationalized domains too."""
    if "@" in text:
        for match in _EMAIL.finditer(text):
            if match.group(1).lower() not in _FILE_ENDINGS:
                yield match.span()


def ipv4_addresses(text: str, start: int, end: int) -> Iterator[Span]:
    """Public IPv4 addresses in a run of digits and what stands between them, which lies at [start, end) of the text.

    Private, loopback and documentation addresses name nobody.
    """
    for match in _IPV4.finditer(text, start, end + 3):
        if _is_global(match.group()) and not _is_number_of_something(text, match):
            yield match.span()


def ipv6_addresses(text: str) -> Iterator[Span]:
    """Public IPv6 addresses."""
    if _MAYBE_IPV6.search(text):
        for match in _IPV6.finditer(text):
            if _is_global(match.group()):
                yield match.span()


def _is_global(written: str) -> bool:
    try:
        return ipaddress.ip_address(written).is_global
    except ValueError:
        return False


def _is_number_of_something(text: str, match: re.Match[str]) -> bool:
    """Whether four numbers are a version (`version 2.4.0.1`) or head a section (`3.1.2.1 Results`)."""
    if _VERSION_BEFORE.search(text, max(0, match.start() - 12), match.start()):
        return True
    starts_line = match.start() == 0 or text[match.start() - 1] == "\n"
    small = all(int(part) < _OUTLINE_PARTS_BELOW for part in match.group().split("."))
    return starts_line and small and _OUTLINE_AFTER.match(text, match.end()) is not None
