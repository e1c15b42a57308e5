"""Which URLs a page names, and what it asks of crawlers about itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from lxml import etree

from pipelines.crawl.page_rules import PageRules, read_rules
from pipelines.crawl.urls import canonical_url

__all__ = ["PageLinks", "read_page"]

# libxml2 ends a page at its `</html>`, where browsers go on (HTML standard, section 13.2.6.4.19 to 22).
_END_OF_PAGE = re.compile(rb"</(?:body|html)\s*>", re.IGNORECASE)


class PageLinks(NamedTuple):
    """What of a page matters to a crawl.

    Attributes:
        targets: canonical URLs that its links lead to, in order of appearance, each once.
        not_followed: how many more URLs it names only behind `nofollow`.
        rules: what holds for the page.
    """

    targets: list[str]
    not_followed: int
    rules: PageRules


def _html_parser(charset: str | None) -> etree.HTMLParser:
    try:
        return etree.HTMLParser(encoding=charset, recover=True, no_network=True)
    except (LookupError, ValueError):  # a name that libxml2 does not know, or none at all: it looks for itself
        return etree.HTMLParser(recover=True, no_network=True)


def _has(element: Any, attribute: str, word: str) -> bool:
    return word in (element.get(attribute) or "").lower().split()


def _refresh_target(element: Any) -> str | None:
    """The address in `<meta http-equiv="refresh" content="5; url=…">`."""
    if (element.get("http-equiv") or "").strip().lower() != "refresh":
        return None
    _, _, rest = (element.get("content") or "").partition(";")
    name, equals, address = rest.partition("=")
    return address.strip().strip("\"'") if equals and name.strip().lower() == "url" else None


def _addresses(root: Any) -> Iterator[tuple[str, bool]]:
    """Addresses as they stand in the page, each with whether it may be followed.

    A canonical link is one among others: where two pages call each other canonical, both are asked for and stored.
    """
    for element in root.iter("a", "area", "link", "meta"):
        if element.tag == "meta":
            address = _refresh_target(element)
        elif element.tag == "link" and not _has(element, "rel", "canonical"):
            continue
        else:
            address = element.get("href")
        if address and address.partition("#")[0].strip():
            yield address.partition("#")[0], not _has(element, "rel", "nofollow")


def read_page(
    html: bytes,
    charset: str | None,
    page_url: str,
    *,
    agent: str = "",
    headers: Iterable[str] = (),
    obey_nofollow: bool = True,
) -> PageLinks:
    """Links and rules of an HTML page; bytes that are no HTML have no links.

    Args:
        html: the page.
        charset: what the server stated, if anything.
        page_url: where it lies; a `<base href>` is minded.
        agent: our own name, in lower case.
        headers: the values of all headers `X-Robots-Tag`.
        obey_nofollow: whether `nofollow` is minded, at links and for the page.
    """
    try:
        root = etree.fromstring(_END_OF_PAGE.sub(b"", html), _html_parser(charset))
    except etree.XMLSyntaxError:  # nothing in it
        root = None
    if root is None:
        return PageLinks([], 0, read_rules(headers, (), agent))
    meta = [(element.get("name") or "", element.get("content") or "") for element in root.iter("meta")]
    rules = read_rules(headers, meta, agent)
    base = next((element.get("href") for element in root.iter("base") if element.get("href")), "")
    base_url = canonical_url(base, page_url) or page_url
    followed: dict[str, bool] = {}
    for address, follow in dict.fromkeys(_addresses(root)):
        target = canonical_url(address, base_url)
        if target:
            followed[target] = followed.get(target, False) or not obey_nofollow or (follow and not rules.nofollow)
    targets = [target for target, follow in followed.items() if follow]
    return PageLinks(targets, len(followed) - len(targets), rules)
