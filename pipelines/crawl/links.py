"""Which URLs a page or a sitemap names."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from lxml import etree

from pipelines.crawl.urls import canonical_url

__all__ = ["SitemapEntries", "link_targets", "sitemap_entries"]

_GZIP_MAGIC = b"\x1f\x8b"


class SitemapEntries(NamedTuple):
    """What a sitemap lists: pages, and further sitemaps where it is an index."""

    pages: list[str]
    sitemaps: list[str]


def _html_parser(charset: str | None) -> etree.HTMLParser:
    try:
        return etree.HTMLParser(encoding=charset, recover=True, no_network=True)
    except LookupError:  # a name that libxml2 does not know: it looks for itself
        return etree.HTMLParser(recover=True, no_network=True)


def link_targets(html: bytes, charset: str | None, page_url: str) -> list[str]:
    """Canonical URLs that the links of an HTML page lead to, in order of appearance, each once.

    `charset` is what the server stated, if anything; a `<base href>` is minded. Bytes that are no HTML have no links.
    """
    try:
        root = etree.fromstring(html, _html_parser(charset))
    except etree.XMLSyntaxError:  # nothing in it
        return []
    if root is None:
        return []
    base = next((element.get("href") for element in root.iter("base") if element.get("href")), "")
    base_url = canonical_url(base, page_url) or page_url
    hrefs = (element.get("href") for element in root.iter("a", "area"))
    addresses = dict.fromkeys(href.partition("#")[0] for href in hrefs if href)
    targets = (canonical_url(address, base_url) for address in addresses if address.strip())
    return list(dict.fromkeys(target for target in targets if target))


def sitemap_entries(content: bytes, max_bytes: int) -> SitemapEntries:
    """What a sitemap (sitemaps.org protocol 0.9), plain or gzip, lists; nothing where it is no XML or too large."""
    if content.startswith(_GZIP_MAGIC):
        try:
            content = zlib.decompressobj(wbits=31).decompress(content, max_bytes)
        except zlib.error:
            return SitemapEntries([], [])
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError:  # nothing in it
        root = None
    if root is None:
        return SitemapEntries([], [])
    found: dict[str, list[str]] = {"url": [], "sitemap": []}
    for location in root.iter("{*}loc"):
        parent = location.getparent()
        kind = etree.QName(parent).localname if parent is not None else ""
        target = canonical_url(location.text or "")
        if target and kind in found:
            found[kind].append(target)
    return SitemapEntries(found["url"], found["sitemap"])
