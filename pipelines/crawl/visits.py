"""From a question to what the journal says of it: asking, judging the answer, encoding its records.

All of this happens in threads, and none of it changes anything: the crawler writes down what comes back.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.crawl.fetch import Answer, Failure, Fetcher, media_type
from pipelines.crawl.journal import Item, Visit
from pipelines.crawl.links import read_page
from pipelines.crawl.page_rules import agent_name
from pipelines.crawl.sitemaps import MAX_SITEMAP_BYTES, sitemap_entries
from pipelines.crawl.urls import canonical_url
from pipelines.crawl.warc_files import encode_answer, payload_digest
from schemas.configs.crawl import CrawlConfig

__all__ = ["Asked", "ask"]

_HTML = frozenset({"", "text/html", "application/xhtml+xml"})


@dataclass(frozen=True)
class Asked:
    """What came of a question: the answer, the line about it, and its WARC records where it is stored."""

    result: Answer | Failure
    visit: Visit
    records: bytes = b""


def ask(fetcher: Fetcher, item: Item, config: CrawlConfig) -> Asked:
    """Ask for a page or a sitemap, once."""
    if item.kind == "page":
        result = fetcher.ask(item.url, config.max_bytes, content_types=config.content_types)
    else:
        result = fetcher.ask(item.url, MAX_SITEMAP_BYTES, cut=True)
    if isinstance(result, Failure):
        visit = Visit(
            url=item.url,
            outcome="content-type" if result.error == "content-type" else "failed",
            error=result.error,
            message=result.message,
        )
        return Asked(result, visit)
    visit = _judged(item, result, config)
    if item.kind != "page" or visit.outcome == "noindex":
        return Asked(result, visit)
    digest = payload_digest(result.body)
    stored = visit.model_copy(update={"payload_bytes": len(result.body), "payload_digest": digest})
    return Asked(result, stored, encode_answer(result, digest))


def _judged(item: Item, answer: Answer, config: CrawlConfig) -> Visit:
    if answer.is_redirect:
        return _redirect(item, answer, config.max_redirects)
    if answer.status == 200:
        return _sitemap(item, answer) if item.kind != "page" else _page(item, answer, config)
    return Visit(
        url=item.url,
        outcome="status",
        status=answer.status,
        error=f"status-{answer.status}",
        message=f"{answer.status} {answer.reason}",
    )


def _page(item: Item, answer: Answer, config: CrawlConfig) -> Visit:
    kind, charset = media_type(answer.header("content-type"))
    page = read_page(
        answer.body if kind in _HTML else b"",
        charset,
        item.url,
        agent=agent_name(config.user_agent),
        headers=[value for name, value in answer.headers if name.lower() == "x-robots-tag"],
        obey_nofollow=config.obey_nofollow,
    )
    return Visit(
        url=item.url,
        outcome="noindex" if page.rules.noindex and config.obey_noindex else "page",
        status=answer.status,
        links=tuple(page.targets),
        not_followed=page.not_followed,
    )


def _sitemap(item: Item, answer: Answer) -> Visit:
    listed = sitemap_entries(answer.body)
    # An index names sitemaps, and a sitemap in an index names pages; there is no third level.
    deeper = listed.sitemaps if item.kind == "sitemap" else []
    return Visit(
        url=item.url,
        outcome="sitemap",
        status=answer.status,
        links=tuple(dict.fromkeys(listed.pages)),
        sitemaps=tuple(dict.fromkeys(deeper)),
    )


def _redirect(item: Item, answer: Answer, max_redirects: int) -> Visit:
    location = answer.header("location")
    target = canonical_url(location, item.url)
    error, message = "", ""
    if target is None:
        error, message = "bad-redirect", f"leads to {location!r:.200}"
    elif item.redirects >= max_redirects:
        error, message = "too-many-redirects", f"goes on to {target:.200}"
    if error:
        return Visit(url=item.url, outcome="failed", status=answer.status, error=error, message=message)
    return Visit(url=item.url, outcome="redirect", status=answer.status, target=target)
