"""Which URLs a crawl may ask for, told from the URL alone, and how many queries of one path."""

from __future__ import annotations

from collections import Counter
from urllib.parse import urlsplit

from pipelines.crawl.urls import host_of
from schemas.configs.crawl import CrawlConfig

__all__ = ["Scope", "trap_in_url"]


def trap_in_url(url: str, config: CrawlConfig) -> str | None:
    """The limit that a URL breaks, as sites without end make them; None where it breaks none."""
    if len(url) > config.max_url_length:
        return "url_too_long"
    segments = [segment for segment in urlsplit(url).path.split("/") if segment]
    if len(segments) > config.max_path_segments:
        return "too_many_segments"
    if segments and max(Counter(segments).values()) > config.max_segment_repeats:
        return "repeated_segments"
    return None


class Scope:
    """The hosts of a crawl and its limits.

    What it says depends on the order in which it is asked, so it is asked in the order of the frontier.
    """

    def __init__(self, config: CrawlConfig) -> None:
        self._config = config
        self.hosts: set[str] = set()
        self._queries: Counter[str] = Counter()

    def refusal(self, url: str, depth: int) -> str | None:
        """Why a URL that was never met is not asked for, as the count that it goes to; None where it is."""
        if host_of(url) not in self.hosts:
            return "links_outside"
        if depth > self._config.max_depth:
            return "links_too_deep"
        trap = trap_in_url(url, self._config)
        if trap is None:
            path, question, _ = url.partition("?")
            if question:
                if self._queries[path] >= self._config.max_query_variants:
                    return "links_query_variants"
                self._queries[path] += 1
        return f"links_{trap}" if trap else None
