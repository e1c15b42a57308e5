"""A parsed HTML page: its measures, checked before anything costly, and what it says about itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import lxml.html
from lxml import etree

from pipelines.cleaning.normalization import normalize_line
from pipelines.sources.items import ItemError

__all__ = ["HtmlPage", "PageFacts", "parse_page"]

_DATE = re.compile(r"(\d{4})[-/]?(\d{2})[-/]?(\d{2})")
# Names under which pages give the day of publication, the most deliberate first.
_DATE_NAMES = (
    "article:published_time",
    "og:published_time",
    "datepublished",
    "citation_publication_date",
    "citation_date",
    "dc.date.issued",
    "dcterms.issued",
    "dc.date.created",
    "dcterms.created",
    "dc.date",
    "dcterms.date",
    "parsely-pub-date",
    "sailthru.date",
    "pubdate",
    "publishdate",
    "date",
)
_LICENSE_NAMES = ("license", "dc.rights.license", "dcterms.license", "dcterms.rights", "dc.rights")


@dataclass(frozen=True)
class PageFacts:
    """What a page says about itself, verbatim but for white space; None where it says nothing.

    Attributes:
        title: element `title`, else the first `h1`.
        published: day of publication, ISO 8601.
        license: target of a `rel=license` link, else a meta field.
        robots: meta field `robots`.
    """

    title: str | None = None
    published: str | None = None
    license: str | None = None
    robots: str | None = None


@dataclass(frozen=True)
class HtmlPage:
    """A page as text and as a tree."""

    html: str
    tree: Any

    def facts(self) -> PageFacts:
        """What the page says about itself."""
        meta = _meta_fields(self.tree)
        return PageFacts(
            title=normalize_line(self.tree.findtext(".//title")) or _first_heading(self.tree),
            published=_published(self.tree, meta),
            license=_license(self.tree, meta),
            robots=normalize_line(meta.get("robots")),
        )


@cache
def _deeper_than(depth: int) -> etree.XPath:
    # Level by level in C: a walk in Python would cost as much as parsing.
    return etree.XPath(f"boolean({'/*' * (depth + 1)})")


def parse_page(html: str, max_tags: int, max_depth: int) -> HtmlPage | None:
    """Parse a page; None where it has no element at all.

    Raises:
        ItemError: the page has more tags, or elements deeper inside each other, than it may.
    """
    # NUL would end the page for the parser.
    html = html.replace("\0", "")
    num_tags = html.count("<")
    if num_tags > max_tags:
        raise ItemError("too-many-nodes", f"{num_tags} tags, {max_tags} are allowed (max_html_nodes)")
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        tree = lxml.html.document_fromstring(html.encode("utf-8", "replace"), parser=parser)
    except etree.ParserError:
        return None
    if _deeper_than(max_depth)(tree):
        raise ItemError("too-deep", f"elements lie more than {max_depth} deep (max_html_depth)")
    return HtmlPage(html, tree)


def _meta_fields(tree: Any) -> dict[str, str]:
    fields: dict[str, str] = {}
    for element in tree.iter("meta"):
        content = element.get("content")
        for attribute in ("name", "property", "itemprop"):
            name = element.get(attribute)
            if name and content:
                fields.setdefault(name.strip().lower(), content)
    return fields


def _first_heading(tree: Any) -> str | None:
    heading = tree.find(".//h1")
    return None if heading is None else normalize_line(heading.text_content())


def _day(stated: str | None) -> str | None:
    found = _DATE.match((stated or "").strip())
    if not found:
        return None
    try:
        return date(int(found[1]), int(found[2]), int(found[3])).isoformat()
    except ValueError:
        return None


def _published(tree: Any, meta: dict[str, str]) -> str | None:
    stated = [meta.get(name) for name in _DATE_NAMES]
    stated += [time.get("datetime") for time in tree.iter("time") if time.get("pubdate") is not None]
    return next((day for day in map(_day, stated) if day), None)


def _license(tree: Any, meta: dict[str, str]) -> str | None:
    for element in tree.iter("a", "link"):
        if "license" in (element.get("rel") or "").lower().split() and element.get("href"):
            return normalize_line(element.get("href"))
    return next((normalize_line(meta[name]) for name in _LICENSE_NAMES if name in meta), None)
