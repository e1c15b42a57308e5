"""Settings of the crawl stage."""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from schemas.configs.base import StageConfig

__all__ = ["CrawlConfig"]

_ENDPOINT = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\[\]:/\s]+):\d{1,5}")
_PRODUCT = re.compile(r"[A-Za-z_-]+(?:/[!-~]+)?(?: [ -~]*)?")


class CrawlConfig(StageConfig):
    """Which pages a crawl fetches, and how it behaves towards the servers."""

    stage: ClassVar[str] = "crawl"
    operational: ClassVar[frozenset[str]] = frozenset(
        {"connect_to", "connections", "delay_seconds", "host_connections", "retry_seconds", "warc_bytes"}
    )

    seed_urls: tuple[str, ...] = Field(
        (),
        validate_default=True,
        title="Seed URLs",
        description="Where the crawl starts; it stays on the hosts of these, and of those they redirect to.",
    )
    sitemaps: bool = Field(
        True, title="Sitemaps", description="Whether pages are also taken from the sitemaps that robots.txt names."
    )
    max_pages: int = Field(
        1000, ge=1, title="Pages at most", description="Pages to store; redirects, errors and robots.txt do not count."
    )
    max_total_bytes: int = Field(
        100 * 2**30,
        ge=1,
        title="Bytes at most in all",
        description="The crawl ends when the stored pages have this many bytes, after decompression.",
    )
    max_depth: int = Field(16, ge=0, title="Depth at most", description="Links between a seed and a page at most.")
    max_redirects: int = Field(5, ge=0, le=50, title="Redirects at most", description="Redirects in a row at most.")
    max_url_length: int = Field(
        2000, ge=16, le=100_000, title="Length of a URL", description="Longer URLs are counted and not asked for."
    )
    max_path_segments: int = Field(
        20,
        ge=1,
        le=1000,
        title="Segments of a path",
        description="URLs with more parts between slashes are counted and not asked for.",
    )
    max_segment_repeats: int = Field(
        3,
        ge=1,
        le=1000,
        title="Repeats in a path",
        description="URLs that hold one path segment more often, as link loops make them, are not asked for.",
    )
    max_query_variants: int = Field(
        1000,
        ge=1,
        title="Queries of a path",
        description="URLs of one path at most, told apart by what follows the question mark; calendars make no end.",
    )
    content_types: tuple[str, ...] = Field(
        ("text/html", "application/xhtml+xml", "text/plain"),
        min_length=1,
        validate_default=True,
        title="Content types",
        description="Content types to store; an answer that states none is stored too.",
    )
    max_bytes: int = Field(
        16 * 2**20, ge=1, title="Bytes at most", description="Bytes of one page at most, after decompression."
    )
    delay_seconds: float = Field(
        1.0,
        ge=0,
        le=3600,
        title="Delay",
        description="Seconds between two requests to one host; a longer Crawl-delay of robots.txt wins.",
    )
    max_pause_seconds: float = Field(
        300.0,
        ge=0,
        le=86_400,
        title="Longest pause",
        description="A host whose Crawl-delay or Retry-After asks for more is left alone for the rest of the crawl.",
    )
    connections: int = Field(
        32, ge=1, le=512, title="Connections", description="Requests under way at once, to all hosts together."
    )
    host_connections: int = Field(
        1,
        ge=1,
        le=16,
        title="Connections to a host",
        description="Requests under way to one host; more than one only where robots.txt states no Crawl-delay.",
    )
    host_failures: int = Field(
        8,
        ge=1,
        title="Failures in a row",
        description="After as many connections of a host in a row that broke, its other URLs are not asked for.",
    )
    timeout_seconds: float = Field(
        30.0, gt=0, le=3600, title="Timeout", description="Seconds for connecting, and for one whole answer."
    )
    retries: int = Field(
        2, ge=0, le=10, title="Retries", description="Tries after a broken connection or a status 429, 500, 502-504."
    )
    retry_seconds: float = Field(
        1.0, ge=0, le=60, title="First pause", description="Seconds before the first retry; doubled for each next one."
    )
    user_agent: str = Field(
        "corpusmill/0.1",
        title="User agent",
        description="How the crawler names itself; robots.txt is read for its first word, up to the slash.",
    )
    obey_robots: bool = Field(True, title="Obey robots.txt", description="Whether robots.txt is asked for and obeyed.")
    obey_noindex: bool = Field(
        True,
        title="Obey noindex",
        description="Whether pages whose X-Robots-Tag or meta field says noindex are counted and not stored.",
    )
    obey_nofollow: bool = Field(
        True,
        title="Obey nofollow",
        description="Whether links with rel=nofollow, and all links of pages that say nofollow, are left alone.",
    )
    allow_private_addresses: bool = Field(
        False,
        title="Private addresses",
        description="Whether hosts at loopback, private and other non-global addresses may be asked.",
    )
    connect_to: dict[str, str] = Field(
        {},
        title="Connect to",
        description='Servers to ask in place of others, {"host:port" = "host:port"}; they may be private ones.',
    )
    warc_bytes: int = Field(
        2**30, ge=1, title="Bytes of a WARC file", description="A new WARC file is begun after this many bytes."
    )

    @field_validator("seed_urls")
    @classmethod
    def _web_addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if not urls:
            raise ValueError("there is nothing to start from; give at least one URL (--seed-url URL)")
        for url in urls:
            try:
                parts = urlsplit(url)
                usable = parts.scheme.lower() in {"http", "https"} and parts.hostname and parts.port != 0
            except ValueError:
                usable = False
            if not usable or "@" in parts.netloc or re.search(r"\s", url):
                raise ValueError(f"{url!r} is no web address; give one like https://example.org/ without a password")
        return urls

    @field_validator("content_types")
    @classmethod
    def _lower_case(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted({name.lower() for name in types}))

    @field_validator("user_agent")
    @classmethod
    def _product(cls, agent: str) -> str:
        if not _PRODUCT.fullmatch(agent):
            raise ValueError("a user agent starts with a name of letters, '_' or '-', as in 'name/1.0 (+https://…)'")
        return agent

    @field_validator("connect_to")
    @classmethod
    def _endpoints(cls, pairs: dict[str, str]) -> dict[str, str]:
        for endpoint in (*pairs, *pairs.values()):
            if not _ENDPOINT.fullmatch(endpoint) or int(endpoint.rpartition(":")[2]) > 65_535:
                raise ValueError(f"{endpoint!r} is not of the form host:port")
        return {key.lower(): value for key, value in pairs.items()}
