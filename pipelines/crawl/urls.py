"""One spelling for each URL, so that a page is asked for once."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import httpx

__all__ = ["canonical_url", "host_of", "origin_of"]

# What browsers drop from the text of a link before they read it (WHATWG URL standard, section 4.4).
_IGNORED = re.compile(r"[\t\n\r]")


def canonical_url(text: str, base: str | None = None) -> str | None:
    """The URL behind a link, normalized (RFC 3986, section 6.2.2 and 6.2.3) and without fragment.

    Scheme and host in lower case, international names in ASCII, no default port, no dot segments, characters that
    need it percent-encoded. None where the link leads to no web page: another scheme, no host, a password.
    """
    address = _IGNORED.sub("", text.strip()).partition("#")[0]
    try:
        scheme, colon, rest = (urljoin(base, address) if base else address).partition(":")
        url = httpx.URL(scheme.lower() + colon + rest)  # httpx keeps the default port of `HTTP:`
        has_path = bool(urlsplit(str(url)).path)
    except (httpx.InvalidURL, ValueError):
        return None
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo:
        return None
    if url.port is not None and not 0 < url.port <= 65_535:
        return None
    return str(url if has_path else url.copy_with(raw_path=url.raw_path))  # at least "/"


def host_of(url: str) -> str:
    """The host of a canonical URL."""
    return urlsplit(url).hostname or ""


def origin_of(url: str) -> str:
    """Scheme, host and port of a canonical URL: what one robots.txt speaks for (RFC 9309, section 2.3)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
