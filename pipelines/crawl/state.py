"""Where a crawl stands: a pure function of its settings and of which lines its journal has.

A line counts twice. When it is written, the crawler learns what matters for asking: rules of robots.txt, hosts that
fail. When the turn of its URL comes, in the order of the frontier, the crawl goes on by it: what it found is added and
counted. So which pages are found, and all counts but those of tries, are the same however the answers arrived.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from pipelines.crawl.frontier import Frontier
from pipelines.crawl.journal import Entry, Item, RobotsRead, Visit
from pipelines.crawl.robots import RobotsRules
from pipelines.crawl.scope import Scope
from pipelines.crawl.urls import canonical_url, host_of, origin_of
from pipelines.crawl.warc_files import Position
from schemas.configs.crawl import CrawlConfig
from schemas.errors import InputError
from schemas.identity import length_prefixed

__all__ = ["CrawlState"]

# A manifest lists this many failures, and as many pages that were not stored; more are counted.
_LISTED = 1000
_COUNTED_AS = {
    "page": "pages",
    "noindex": "noindex",
    "redirect": "redirects",
    "sitemap": "sitemaps",
    "robots-denied": "robots_denied",
    "content-type": "other_content_types",
    "status": "errors",
    "failed": "errors",
}


class CrawlState:
    """Frontier, robots rules and tallies. `take` and `settle` are the only ways in which they change."""

    def __init__(self, config: CrawlConfig) -> None:
        self._config = config
        self.frontier = Frontier()
        self.scope = Scope(config)
        self.robots: dict[str, RobotsRules] = {}
        self.left_alone: dict[str, str] = {}  # hosts that are asked no more, and why
        self.position = Position()
        self.counts: Counter[str] = Counter(
            dict.fromkeys((*_COUNTED_AS.values(), "bytes", "links_outside", "links_not_followed"), 0)
        )
        self.failures: list[dict[str, str]] = []
        self.noindex: list[str] = []
        self.responses: list[tuple[int, bytes]] = []  # WARC file and row hash of each recorded answer
        self._in_a_row: Counter[str] = Counter()
        self._settled_robots: set[str] = set()
        for url in config.seed_urls:
            seed = canonical_url(url)
            if seed is None:
                raise InputError(f"seed URL {url!r} cannot be asked for; give one like https://example.org/")
            self.scope.hosts.add(host_of(seed))
            self.frontier.add([Item(seed)])

    @property
    def budget(self) -> int:
        """Pages that may be stored yet, whatever their size: none comes to more than `max_bytes`."""
        left = self._config.max_total_bytes - self.counts["bytes"]
        return max(0, min(self._config.max_pages - self.counts["pages"], -(-left // self._config.max_bytes)))

    def take(self, entry: Entry) -> None:
        """Learn what a new line says about hosts and files; its turn comes later."""
        self.counts["retries"] += entry.retries
        if isinstance(entry, RobotsRead):
            self.robots[entry.origin] = RobotsRules(entry, self._config.user_agent)
            self.counts["robots_files"] += 1
            return
        host = host_of(entry.url)
        if entry.part is not None:
            row = length_prefixed(entry.url.encode(), str(entry.status).encode(), entry.payload_digest.encode())
            self.responses.append((entry.part, hashlib.blake2b(row, digest_size=32).digest()))
            self.position = Position(entry.part, entry.end)
        if entry.error == "connection":
            self._in_a_row[host] += 1
            if self._in_a_row[host] >= self._config.host_failures:
                self.left_alone.setdefault(host, f"{self._in_a_row[host]} requests in a row failed")
        elif entry.status is not None:
            self._in_a_row[host] = 0
        if entry.leave_alone:
            self.left_alone.setdefault(host, f"it asked for a pause of more than {self._config.max_pause_seconds:g} s")

    def needs_robots(self, item: Item) -> str | None:
        """The origin whose robots.txt is to be settled before the item whose turn it is."""
        origin = origin_of(item.url)
        return origin if self._config.obey_robots and origin not in self._settled_robots else None

    def settle_robots(self, read: RobotsRead, depth: int) -> None:
        """Go on by a robots.txt, the first one of its origin, when the turn of a URL there has come."""
        self._settled_robots.add(read.origin)
        near = (url for url in read.found if host_of(url) in self.scope.hosts)
        self.frontier.add(Item(url, depth, kind="sitemap") for url in near)

    def settle(self, visit: Visit) -> Item:
        """Go on by the line about the URL whose turn it is; gives its item."""
        item = self.frontier.pop()
        if visit.status is not None:
            self.counts[f"status_{visit.status}"] += 1
        self.counts[_COUNTED_AS[visit.outcome]] += 1
        self.counts["links_not_followed"] += visit.not_followed
        if visit.outcome == "page":
            self.counts["bytes"] += visit.payload_bytes
        elif visit.outcome == "noindex":
            self.noindex += [visit.url] if len(self.noindex) < _LISTED else []
        elif _COUNTED_AS[visit.outcome] == "errors":
            self.counts[f"error_{visit.error}"] += 1
            if len(self.failures) < _LISTED:
                self.failures.append({"url": visit.url, "error": visit.error, "message": visit.message})
        self._add(visit.links, item.depth + 1, "page")
        self._add(visit.sitemaps, item.depth + 1, "inner-sitemap")
        if visit.target is not None:
            self._redirect(item, visit.target)
        return item

    def _add(self, urls: Iterable[str], depth: int, kind: Any) -> None:
        for url in urls:
            if self.frontier.is_new(url):
                refusal = self.scope.refusal(url, depth)
                if refusal:
                    self.counts[refusal] += 1
                else:
                    self.frontier.add([Item(url, depth, kind=kind)])

    def _redirect(self, item: Item, target: str) -> None:
        if item.depth == 0 and item.kind == "page":  # a seed may move to another host
            self.scope.hosts.add(host_of(target))
        if self.frontier.is_new(target):
            refusal = self.scope.refusal(target, item.depth)
            if refusal:
                self.counts[refusal] += 1
            else:
                self.frontier.add([item._replace(url=target, redirects=item.redirects + 1)])

    def notes(self) -> dict[str, Any]:
        """What the manifest says beside the counts."""
        return {
            "failures": self.failures,
            "failures_not_listed": self.counts["errors"] - len(self.failures),
            "noindex": self.noindex,
            "noindex_not_listed": self.counts["noindex"] - len(self.noindex),
        }
