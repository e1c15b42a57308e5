"""A parsed HTML page: its measures, checked before anything costly, and what it says about itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from typing import Any

import lxml.html
import numpy as np
from lxml import etree
from selectolax.lexbor import LexborHTMLParser

from pipelines.cleaning.json_ld import StatedByScripts, read_json_ld
from pipelines.cleaning.normalization import normalize_line
from pipelines.sources.items import ItemError

__all__ = ["HtmlPage", "PageFacts", "parse_page", "too_deep"]

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
# One walk over the tree for all of them.
_TELLING = (
    'meta[content], time[pubdate], [rel~=license i][href], [itemprop~=datePublished i], script[type*="ld+json" i]'
)
_STATED = dict[str, str | None]
# What an empty field becomes in common libraries.
_NO_DAYS = frozenset({"0001-01-01", "1970-01-01"})
_LICENSE_NAMES = ("license", "dc.rights.license", "dcterms.license", "dcterms.rights", "dc.rights")


# Lexbor's time grows with the square of the depth: 0.5 s for 20,000 elements inside each other, 24 s for 100,000. Above
# so many tags libxml2, which stops at a depth of 255, looks at the page first.
_SAFE_TAGS = 20_000


@dataclass(frozen=True)
class PageFacts:
    """What a page says about itself, verbatim but for white space; None where it says nothing.

    Attributes:
        title: element `title`, else the first `h1`.
        published: day of publication, ISO 8601: of a meta field, else of JSON-LD, else of a marked element.
        license: target of a `rel=license` link, else of a meta field, else of JSON-LD.
        robots: meta field `robots`.
    """

    title: str | None = None
    published: str | None = None
    license: str | None = None
    robots: str | None = None


class HtmlPage:
    """A page: its source in UTF-8, its measures checked, and its trees."""

    def __init__(self, source: bytes, max_depth: int) -> None:
        self.source = source
        self.max_depth = max_depth

    @property
    def html(self) -> str:
        """The source as text."""
        return self.source.decode("utf-8")

    @cached_property
    def document(self) -> Any:
        """The tree of the WHATWG parser (lexbor); reading blocks from it changes it."""
        return LexborHTMLParser(self.source)

    @cached_property
    def tree(self) -> Any:
        """The tree of libxml2, which trafilatura wants; None where the page has no element at all.

        Raises:
            ItemError: elements lie deeper inside each other than they may.
        """
        parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
        try:
            tree = lxml.html.document_fromstring(self.source, parser=parser)
        except etree.ParserError:
            return None
        if _deeper_than(self.max_depth)(tree):
            raise too_deep(self.max_depth)
        return tree

    def facts(self) -> PageFacts:
        """What the page says about itself; to be asked for before its blocks."""
        elements = self.document.css(_TELLING)
        told = [(element.tag, element.attributes) for element in elements]
        meta = _meta_fields(stated for tag, stated in told if tag == "meta" and "content" in stated)
        scripts = read_json_ld(element.text() for element in elements if element.tag == "script")
        marked = (stated for tag, stated in told if tag == "time" or "itemprop" in stated)
        return PageFacts(
            title=_text_of(self.document, "title") or _text_of(self.document, "h1"),
            published=_published(meta, scripts, marked),
            license=_license((stated for tag, stated in told if tag in ("a", "link")), meta) or scripts.license(),
            robots=normalize_line(meta.get("robots")),
        )


def too_deep(max_depth: int) -> ItemError:
    """The error of a page whose elements lie deeper inside each other than they may."""
    return ItemError("too-deep", f"elements lie more than {max_depth} deep (max_html_depth)")


@cache
def _deeper_than(depth: int) -> etree.XPath:
    # Level by level in C: a walk in Python would cost as much as parsing.
    return etree.XPath(f"boolean({'/*' * (depth + 1)})")


def parse_page(html: str | bytes, max_tags: int, max_depth: int) -> HtmlPage:
    """A page within its limits, from its text or the UTF-8 of it.

    Raises:
        ItemError: the page has more tags, or elements deeper inside each other, than it may.
    """
    # NUL would end the page for libxml2.
    source = (html.encode("utf-8", "ignore") if isinstance(html, str) else html).replace(b"\0", b"")
    num_tags = int(np.count_nonzero(np.frombuffer(source, dtype=np.uint8) == ord("<")))
    if num_tags > max_tags:
        raise ItemError("too-many-nodes", f"{num_tags} tags, {max_tags} are allowed (max_html_nodes)")
    page = HtmlPage(source, max_depth)
    if num_tags > _SAFE_TAGS:
        _ = page.tree
    return page


def _meta_fields(elements: Iterable[_STATED]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for stated in elements:
        content = stated["content"]
        for attribute in ("name", "property", "itemprop") if content else ():
            name = stated.get(attribute)
            if name:
                fields.setdefault(name.strip().lower(), content or "")
    return fields


def _text_of(document: Any, selector: str) -> str | None:
    element = document.css_first(selector)
    return None if element is None else normalize_line(element.text())


def _day(stated: str | None) -> str | None:
    found = _DATE.match((stated or "").strip())
    if not found:
        return None
    try:
        day = date(int(found[1]), int(found[2]), int(found[3])).isoformat()
    except ValueError:
        return None
    return None if day in _NO_DAYS else day


def _published(meta: dict[str, str], scripts: StatedByScripts, marked: Iterable[_STATED]) -> str | None:
    stated = [meta.get(name) for name in _DATE_NAMES]
    stated += scripts.published()
    stated += [element.get("datetime") or element.get("content") for element in marked]
    return next((day for day in map(_day, stated) if day), None)


def _license(links: Iterable[_STATED], meta: dict[str, str]) -> str | None:
    for stated in links:
        if stated.get("href") and "license" in (stated.get("rel") or "").lower().split():
            return normalize_line(stated["href"])
    return next((normalize_line(meta[name]) for name in _LICENSE_NAMES if name in meta), None)
