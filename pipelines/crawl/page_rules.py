"""What a page asks of crawlers about itself: `noindex` and `nofollow`, in its HTTP header or in a meta field.

Neither is in an RFC; read as the large search engines document them: values after a crawler's name are for that
crawler, others for all, and of contradicting values the strictest holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["PageRules", "agent_name", "read_rules"]

# Values that have a colon of their own, which is no crawler's name.
_WITH_COLON = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


class PageRules(NamedTuple):
    """Whether a page may be stored, and whether its links may be followed."""

    noindex: bool = False
    nofollow: bool = False


def agent_name(user_agent: str) -> str:
    """The name that rules address a crawler by: the first word of its user agent, up to the slash."""
    return user_agent.partition("/")[0].partition(" ")[0].lower()


def _values(text: str) -> set[str]:
    return {value.strip().lower() for value in text.split(",")}


def _header_values(header: str, agent: str) -> set[str]:
    """The values of one `X-Robots-Tag` that hold for `agent`; a name holds until the next one."""
    found, holds = set(), True
    for part in header.lower().split(","):
        before, colon, after = part.partition(":")
        named = bool(colon) and before.strip() not in _WITH_COLON
        if named:
            holds = before.strip() == agent
        if holds:
            found.add((after if named else part).strip())
    return found


def read_rules(headers: Iterable[str], meta: Iterable[tuple[str, str]], agent: str) -> PageRules:
    """The rules of a page.

    Args:
        headers: the values of all headers `X-Robots-Tag`.
        meta: name and content of all meta fields.
        agent: our own name, in lower case.
    """
    found: set[str] = set()
    for header in headers:
        found |= _header_values(header, agent)
    for name, content in meta:
        if name.strip().lower() in {"robots", agent}:
            found |= _values(content)
    return PageRules(bool(found & {"noindex", "none"}), bool(found & {"nofollow", "none"}))
