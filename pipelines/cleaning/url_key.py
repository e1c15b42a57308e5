"""The canonical form of a URL, for joins by URL; the verbatim URL stays beside it."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

__all__ = ["url_key"]

_DEFAULT_PORTS = {"http": 80, "https": 443}


def url_key(url: str | None) -> str | None:
    """`url` with lower-case scheme and host, without default port, `www.`, trailing slash and fragment.

    `https` and `http` share one key, since crawls meet the same page under both. None where there is no URL or it has
    no host.
    """
    if not url:
        return None
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    host = host.removeprefix("www.")
    if port is not None and port != _DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{port}"
    scheme = "http" if parts.scheme == "https" else parts.scheme
    return urlunsplit((scheme, host, parts.path.rstrip("/"), parts.query, ""))
