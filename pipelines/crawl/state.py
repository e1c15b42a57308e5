"""Where a crawl stands: a pure function of its settings and of the lines of its journal."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

from pipelines.crawl.frontier import Frontier
from pipelines.crawl.journal import Entry, Item, RobotsRead, Visit
from pipelines.crawl.robots import RobotsRules
from pipelines.crawl.urls import canonical_url, host_of
from pipelines.crawl.warc_files import Position
from schemas.configs.crawl import CrawlConfig
from schemas.errors import InputError, StageError
from schemas.identity import length_prefixed

__all__ = ["CrawlState"]

# A manifest lists this many failures; more are counted.
_LISTED_FAILURES = 1000
_COUNTED_AS = {
    "page": "pages",
    "redirect": "redirects",
    "sitemap": "sitemaps",
    "robots-denied": "robots_denied",
    "content-type": "other_content_types",
    "status": "errors",
    "failed": "errors",
}


class CrawlState:
    """Frontier, robots rules and tallies; `apply` is the one way in which they change."""

    def __init__(self, config: CrawlConfig) -> None:
        self._config = config
        self.frontier = Frontier()
        self.hosts: set[str] = set()
        self.robots: dict[str, RobotsRules] = {}
        self.position = Position()
        self.counts: Counter[str] = Counter(dict.fromkeys((*_COUNTED_AS.values(), "bytes"), 0))
        self.failures: list[dict[str, str]] = []
        self.responses: list[tuple[int, bytes]] = []  # WARC file and row hash of each recorded answer
        for url in config.seed_urls:
            seed = canonical_url(url)
            if seed is None:
                raise InputError(f"seed URL {url!r} cannot be asked for; give one like https://example.org/")
            self.hosts.add(host_of(seed))
            self.frontier.add([Item(seed)])

    def apply(self, entry: Entry) -> None:
        """Take in what was done.

        Raises:
            StageError: the entry is not about the URL whose turn it is.
        """
        if isinstance(entry, RobotsRead):
            self.robots[entry.origin] = RobotsRules(entry, self._config.user_agent)
            self.counts["robots_files"] += 1
        else:
            item = self.frontier.first()
            if item is None or item.url != entry.url:
                raise StageError(f"the journal goes on with {entry.url}, but it is the turn of {item and item.url}")
            self._visited(self.frontier.pop(), entry)
        self.counts["retries"] += entry.retries
        self.frontier.add(entry.found)

    def _visited(self, item: Item, visit: Visit) -> None:
        if visit.outcome == "redirect" and item.depth == 0 and item.kind == "page":
            self.hosts.update(host_of(target.url) for target in visit.found)
        if visit.part is not None:
            row = length_prefixed(visit.url.encode(), str(visit.status).encode(), visit.payload_digest.encode())
            self.responses.append((visit.part, hashlib.blake2b(row, digest_size=32).digest()))
            self.position = Position(visit.part, visit.end)
        if visit.status is not None:
            self.counts[f"status_{visit.status}"] += 1
        self.counts[_COUNTED_AS[visit.outcome]] += 1
        if visit.outcome == "page":
            self.counts["bytes"] += visit.payload_bytes
        elif _COUNTED_AS[visit.outcome] == "errors":
            self.counts[f"error_{visit.error}"] += 1
            if len(self.failures) < _LISTED_FAILURES:
                self.failures.append({"url": visit.url, "error": visit.error, "message": visit.message})
        self.counts["links_outside"] += visit.outside

    def notes(self) -> dict[str, Any]:
        """What the manifest says beside the counts."""
        return {"failures": self.failures, "failures_not_listed": self.counts["errors"] - len(self.failures)}
