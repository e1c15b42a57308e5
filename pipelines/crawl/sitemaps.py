"""Which URLs a sitemap lists (sitemaps.org protocol 0.9): XML, an index of others, or plain lines; gzip or not."""

from __future__ import annotations

from io import BytesIO
from typing import NamedTuple

from lxml import etree

from pipelines.crawl.urls import canonical_url
from pipelines.sources.content_codings import decode_content

__all__ = ["MAX_SITEMAP_BYTES", "SitemapEntries", "sitemap_entries"]

# What the protocol allows one sitemap, uncompressed, and how many URLs.
MAX_SITEMAP_BYTES = 50 * 2**20
_MAX_URLS = 50_000
_GZIP_MAGIC = b"\x1f\x8b"


class SitemapEntries(NamedTuple):
    """What a sitemap lists: pages, and further sitemaps where it is an index."""

    pages: list[str]
    sitemaps: list[str]


def _from_lines(content: bytes) -> list[str]:
    lines = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").splitlines()
    targets = (canonical_url(line) for line in lines[:_MAX_URLS] if line.strip())
    return [target for target in targets if target]


def sitemap_entries(content: bytes, max_bytes: int = MAX_SITEMAP_BYTES) -> SitemapEntries:
    """What a sitemap lists, up to 50,000 URLs in the first `max_bytes`; nothing where it is no sitemap."""
    if content.startswith(_GZIP_MAGIC):
        content = decode_content(content, "gzip", max_bytes) or b""
    content = content[:max_bytes]
    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return SitemapEntries(_from_lines(content), [])
    found: dict[str, list[str]] = {"url": [], "sitemap": []}
    # Element by element: a tree of 50 MiB would take a gigabyte.
    reader = etree.iterparse(
        BytesIO(content), events=("end",), tag="{*}loc", resolve_entities=False, no_network=True, recover=True
    )
    try:
        for _, location in reader:
            parent = location.getparent()
            kind = parent.tag.rpartition("}")[2] if parent is not None else ""
            target = canonical_url(location.text or "")
            if target and kind in found and len(found[kind]) < _MAX_URLS:
                found[kind].append(target)
            location.clear()
            while parent is not None and parent.getprevious() is not None:
                del parent.getparent()[0]
    except etree.XMLSyntaxError:  # nothing in it, or nothing more
        pass
    return SitemapEntries(found["url"], found["sitemap"])
