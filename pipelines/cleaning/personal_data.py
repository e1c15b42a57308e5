"""Personal data in text, replaced by typed placeholders."""

from __future__ import annotations

import ipaddress
import re

__all__ = ["EMAIL_PLACEHOLDER", "IP_PLACEHOLDER", "replace_personal_data"]

EMAIL_PLACEHOLDER = "<EMAIL>"
IP_PLACEHOLDER = "<IP_ADDRESS>"

_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![\w-])"
)
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)")


def _hide_public(match: re.Match[str]) -> str:
    try:
        address = ipaddress.IPv4Address(match.group())
    except ValueError:
        return match.group()
    return IP_PLACEHOLDER if address.is_global else match.group()


def replace_personal_data(text: str) -> tuple[str, int]:
    """The text with e-mail addresses and public IPv4 addresses replaced, and how many were.

    Private, loopback and documentation addresses stay: they name nobody.
    """
    text, emails = _EMAIL.subn(EMAIL_PLACEHOLDER, text)
    before = text.count(IP_PLACEHOLDER)
    text = _IPV4.sub(_hide_public, text)
    return text, emails + text.count(IP_PLACEHOLDER) - before
