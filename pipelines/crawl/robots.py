"""robots.txt as RFC 9309 has it, and as `protego` reads it."""

from __future__ import annotations

import datetime

from protego import Protego

from pipelines.crawl.fetch import Answer, Failure
from pipelines.crawl.journal import RobotsRead
from pipelines.crawl.page_rules import agent_name
from pipelines.crawl.urls import canonical_url

__all__ = ["MAX_ROBOTS_BYTES", "RobotsRules", "judge_robots"]

_REDIRECTS = 5  # RFC 9309, section 2.3.1.2
MAX_ROBOTS_BYTES = 512 * 2**10  # section 2.5 asks for 500 KiB at least; the rest is not read
_FRESH = datetime.timedelta(hours=24)  # section 2.4


class RobotsRules:
    """What one robots.txt allows one crawler to do."""

    def __init__(self, read: RobotsRead, user_agent: str) -> None:
        self.read = read
        self._name = agent_name(user_agent)
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


def judge_robots(
    origin: str, url: str, hops: int, result: Answer | Failure, *, sitemaps: bool, retries: int
) -> RobotsRead | str:
    """What the answer to a question for robots.txt means.

    Status 4xx allows everything, 5xx and no answer forbid everything (sections 2.3.1.3 and 2.3.1.4); so does 429, since
    a host that is asked too much already is not to be asked for all its pages.

    Args:
        origin: whose robots.txt it is.
        url: what was asked for, `/robots.txt` or what it redirects to.
        hops: redirects that led there.
        result: the answer.
        sitemaps: whether the sitemaps that it names are taken.
        retries: tries before this one.

    Returns:
        The outcome, or the URL to ask instead.
    """
    read_at = datetime.datetime.now(datetime.UTC)
    if isinstance(result, Answer) and result.is_redirect and hops < _REDIRECTS:
        target = canonical_url(result.header("location"), url)
        if target:
            return target
        result = Failure("bad-redirect", "robots.txt redirects to nothing that can be asked for")
    if isinstance(result, Answer) and (result.status >= 500 or result.status == 429):
        result = Failure("robots-status", f"robots.txt has status {result.status}")
    if isinstance(result, Failure):
        return RobotsRead(
            origin=origin, read_at=read_at, text=None, retries=retries, error=result.error, message=result.message
        )
    body = result.body if result.status == 200 else b""
    if len(body) >= MAX_ROBOTS_BYTES:  # half a rule could mean another one
        body = body[: body.rfind(b"\n") + 1]
    text = body.decode("utf-8-sig", "replace")
    named = Protego.parse(text).sitemaps if sitemaps else ()
    urls = (canonical_url(entry, origin) for entry in named)
    found = tuple(dict.fromkeys(target for target in urls if target))
    return RobotsRead(origin=origin, read_at=read_at, text=text, found=found, retries=retries)
