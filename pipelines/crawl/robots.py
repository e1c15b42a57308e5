"""robots.txt as RFC 9309 has it, and as `protego` reads it."""

from __future__ import annotations

import datetime
from urllib.parse import urljoin

from protego import Protego

from pipelines.crawl.fetch import Answer, Failure, Fetcher
from pipelines.crawl.journal import Item, RobotsRead
from pipelines.crawl.urls import canonical_url

__all__ = ["RobotsRules", "read_robots"]

_REDIRECTS = 5  # RFC 9309, section 2.3.1.2
_CHARACTERS = 512 * 2**10  # section 2.5 asks for 500 KiB at least
_FRESH = datetime.timedelta(hours=24)  # section 2.4


class RobotsRules:
    """What one robots.txt allows one crawler to do."""

    def __init__(self, read: RobotsRead, user_agent: str) -> None:
        self.read = read
        self._name = user_agent.partition("/")[0].partition(" ")[0]
        self._rules = Protego.parse(read.text or "")

    @property
    def reachable(self) -> bool:
        """Whether the host answered; where it did not, nothing of it is fetched (section 2.3.1.4)."""
        return self.read.text is not None

    @property
    def is_fresh(self) -> bool:
        """Whether the file was read in the last 24 hours."""
        return datetime.datetime.now(datetime.UTC) - self.read.read_at < _FRESH

    @property
    def delay_seconds(self) -> float:
        """Its `Crawl-delay`; 0 where it states none."""
        return float(self._rules.crawl_delay(self._name) or 0.0)

    def allows(self, url: str) -> bool:
        """Whether a URL of this origin may be fetched."""
        return self.reachable and bool(self._rules.can_fetch(url, self._name))


def read_robots(fetcher: Fetcher, origin: str, *, sitemaps: bool) -> RobotsRead:
    """Ask an origin for its robots.txt: status 4xx allows everything, 5xx and no answer forbid everything."""
    read_at = datetime.datetime.now(datetime.UTC)
    url: str | None = f"{origin}/robots.txt"
    result: Answer | Failure = Failure("bad-redirect", "robots.txt redirects to nothing that can be asked for")
    for _ in range(_REDIRECTS + 1):
        if not url:
            break
        result = fetcher.get(url)
        if isinstance(result, Failure) or not result.is_redirect:
            break
        url = canonical_url(result.header("location"), url)
    retries = result.retries
    if isinstance(result, Failure):
        return RobotsRead(
            origin=origin, read_at=read_at, text=None, retries=retries, error=result.error, message=result.message
        )
    if result.status >= 500:
        message = f"robots.txt has status {result.status}"
        return RobotsRead(
            origin=origin, read_at=read_at, text=None, retries=retries, error="robots-status", message=message
        )
    text = result.body.decode("utf-8-sig", "replace")[:_CHARACTERS] if result.status == 200 else ""
    named = Protego.parse(text).sitemaps if sitemaps else ()
    urls = (canonical_url(urljoin(origin, entry)) for entry in named)
    found = tuple(Item(target, kind="sitemap") for target in dict.fromkeys(urls) if target)
    return RobotsRead(origin=origin, read_at=read_at, text=text, found=found, retries=retries)
