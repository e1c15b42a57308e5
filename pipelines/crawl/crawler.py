"""The crawl itself: take the URL whose turn it is, ask for it, write it down, go on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from pipelines.crawl.fetch import Answer, Failure, Fetcher, media_type
from pipelines.crawl.journal import Entry, Item, Journal, Visit
from pipelines.crawl.links import link_targets, sitemap_entries
from pipelines.crawl.pace import Pace
from pipelines.crawl.progress import Progress
from pipelines.crawl.robots import RobotsRules, read_robots
from pipelines.crawl.state import CrawlState
from pipelines.crawl.urls import canonical_url, host_of, origin_of
from pipelines.crawl.warc_files import WarcFiles, payload_digest
from schemas.configs.crawl import CrawlConfig

__all__ = ["JOURNAL_NAME", "crawl"]

JOURNAL_NAME = "journal.jsonl"
_HTML = frozenset({"", "text/html", "application/xhtml+xml"})


def crawl(config: CrawlConfig, state: CrawlState, folder: Path, about: dict[str, str], progress: Progress) -> None:
    """Crawl until the limit is reached or nothing is left to ask for.

    Args:
        config: the settings.
        state: a new state of these settings; changed in place.
        folder: where journal and WARC files lie, empty or as an interrupted crawl left them.
        about: fields of the warcinfo record.
        progress: called after each URL.

    Raises:
        StageError: what lies in `folder` is damaged.
    """
    with ExitStack() as stack:
        journal = Journal(folder / JOURNAL_NAME)
        stack.callback(journal.close)
        for entry in journal.entries:
            state.apply(entry)
        warc = WarcFiles(folder, config.warc_bytes, about, state.position)
        stack.callback(warc.close)
        pace = Pace(config.delay_seconds, asked_before=bool(journal.entries))
        fetcher = Fetcher(config, pace)
        stack.callback(fetcher.close)
        crawler = _Crawler(config, state, pace, fetcher, journal, warc)
        while state.counts["pages"] < config.max_pages and (item := state.frontier.first()):
            crawler.visit(item)
            progress(state.counts["pages"], config.max_pages, item.url)


class _Crawler:
    def __init__(
        self,
        config: CrawlConfig,
        state: CrawlState,
        pace: Pace,
        fetcher: Fetcher,
        journal: Journal,
        warc: WarcFiles,
    ) -> None:
        self._config = config
        self._state = state
        self._pace = pace
        self._fetcher = fetcher
        self._journal = journal
        self._warc = warc

    def visit(self, item: Item) -> None:
        """Deal with one URL, whose turn it is."""
        rules = self._rules(item.url) if self._config.obey_robots else None
        if rules and not rules.reachable:
            self._done(Visit(url=item.url, outcome="failed", error=rules.read.error, message=rules.read.message))
        elif rules and not rules.allows(item.url):
            self._done(Visit(url=item.url, outcome="robots-denied"))
        elif item.kind == "sitemap":
            self._done(self._read_sitemap(item))
        else:
            self._done(self._fetch_page(item))

    def _done(self, entry: Entry) -> None:
        self._journal.append(entry)
        self._state.apply(entry)

    def _rules(self, url: str) -> RobotsRules:
        origin = origin_of(url)
        rules = self._state.robots.get(origin)
        if rules is None or not rules.is_fresh:
            read = read_robots(self._fetcher, origin, sitemaps=self._config.sitemaps)
            near = tuple(sitemap for sitemap in read.found if host_of(sitemap.url) in self._state.hosts)
            self._done(read.model_copy(update={"found": near}))
            rules = self._state.robots[origin]
        self._pace.slow_down(host_of(url), rules.delay_seconds)
        return rules

    def _read_sitemap(self, item: Item) -> Visit:
        result = self._fetcher.get(item.url)
        if isinstance(result, Failure):
            return _failed(item, result)
        if result.is_redirect:
            return self._redirect(item, result.header("location"))
        listed = sitemap_entries(result.body, self._config.max_bytes)
        # An index names sitemaps, and a sitemap in an index names pages; there is no third level.
        deeper = listed.sitemaps if item.depth == 0 else []
        found, outside = self._in_scope([*listed.pages, *deeper], item.depth + 1)
        nested = set(deeper)
        items = tuple(entry._replace(kind="sitemap") if entry.url in nested else entry for entry in found)
        return Visit(
            url=item.url,
            outcome="sitemap",
            status=result.status,
            found=items,
            outside=outside,
            retries=result.retries,
        )

    def _fetch_page(self, item: Item) -> Visit:
        result = self._fetcher.get(item.url, self._config.content_types)
        if isinstance(result, Failure):
            return _failed(item, result)
        digest = payload_digest(result.body)
        visit = self._judge(item, result)
        part, end = self._warc.append(result, digest)
        return visit.model_copy(
            update={
                "status": result.status,
                "payload_bytes": len(result.body),
                "payload_digest": digest,
                "part": part,
                "end": end,
                "retries": result.retries,
            }
        )

    def _judge(self, item: Item, answer: Answer) -> Visit:
        if answer.status == 200:
            kind, charset = media_type(answer.header("content-type"))
            targets = link_targets(answer.body, charset, item.url) if kind in _HTML else []
            found, outside = self._in_scope(targets, item.depth + 1)
            return Visit(url=item.url, outcome="page", found=found, outside=outside)
        if answer.is_redirect:
            return self._redirect(item, answer.header("location"))
        return Visit(
            url=item.url, outcome="status", error=f"status-{answer.status}", message=f"{answer.status} {answer.reason}"
        )

    def _redirect(self, item: Item, location: str) -> Visit:
        target = canonical_url(location, item.url)
        if target is None:
            return Visit(url=item.url, outcome="failed", error="bad-redirect", message=f"leads to {location!r:.200}")
        if item.redirects >= self._config.max_redirects:
            return Visit(
                url=item.url, outcome="failed", error="too-many-redirects", message=f"goes on to {target:.200}"
            )
        is_seed = item.depth == 0 and item.kind == "page"
        follow = is_seed or host_of(target) in self._state.hosts
        found = (item._replace(url=target, redirects=item.redirects + 1),) if follow else ()
        new = tuple(entry for entry in found if self._state.frontier.is_new(entry.url))
        return Visit(url=item.url, outcome="redirect", found=new, outside=0 if follow else 1)

    def _in_scope(self, urls: list[str], depth: int) -> tuple[tuple[Item, ...], int]:
        """New URLs that may be crawled, as items, and how many others there were that never will be."""
        inside = [url for url in urls if depth <= self._config.max_depth and host_of(url) in self._state.hosts]
        new = tuple(Item(url, depth) for url in inside if self._state.frontier.is_new(url))
        return new, len(urls) - len(inside)


def _failed(item: Item, failure: Failure) -> Visit:
    return Visit(
        url=item.url,
        outcome="content-type" if failure.error == "content-type" else "failed",
        error=failure.error,
        message=failure.message,
        retries=failure.retries,
    )
