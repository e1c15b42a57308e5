"""What a page says about itself in JSON-LD, by the vocabulary of schema.org.

Only objects that stand for the page count: those at the top of a script, in its `@graph`, or a `mainEntity`. What lies
deeper may be a list of other articles. Of 91 news and blog pages 13 give their day of publication there alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["StatedByScripts", "read_json_ld"]

# Types end in these words: NewsArticle, BlogPosting, LiveBlogPosting, ItemPage, Report, Book.
_WORKS = ("Article", "Posting", "Report", "Book", "CreativeWork", "Recipe", "Review")
_PAGES = ("Page",)


class StatedByScripts:
    """Fields of the objects that stand for a page, works before pages, each in order of appearance."""

    def __init__(self, objects: Iterable[dict[str, Any]]) -> None:
        found = list(objects)
        self._works = [one for one in found if _is_one_of(one, _WORKS)]
        self._pages = [one for one in found if _is_one_of(one, _PAGES)]

    def published(self) -> list[str]:
        """Candidates for the day of publication; a page on which several works state days is none of them."""
        of_works = {value: None for one in self._works if (value := _text(one.get("datePublished")))}
        of_pages = [value for one in self._pages if (value := _text(one.get("datePublished")))]
        return [*(of_works if len({value[:10] for value in of_works}) == 1 else ()), *of_pages]

    def license(self) -> str | None:
        """The first licence."""
        return next((value for one in (*self._works, *self._pages) if (value := _text(one.get("license")))), None)


def read_json_ld(scripts: Iterable[str]) -> StatedByScripts:
    """What the scripts of type `application/ld+json` say; one that is no JSON says nothing."""
    return StatedByScripts(one for script in scripts for one in _objects(script))


def _objects(script: str) -> Iterator[dict[str, Any]]:
    try:
        stated = json.loads(script, strict=False)  # line ends inside of strings are common
    except (ValueError, RecursionError):
        return
    for one in _as_list(stated):
        for inner in (one, *_as_list(one.get("@graph"))):
            yield inner
            yield from _as_list(inner.get("mainEntity"))


def _as_list(value: Any) -> list[dict[str, Any]]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def _is_one_of(one: dict[str, Any], endings: tuple[str, ...]) -> bool:
    types = one.get("@type")
    return any(str(name).endswith(endings) for name in (types if isinstance(types, list) else [types]))


def _text(value: Any) -> str | None:
    """A value that is text, or the address of an object that has one."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("@id") or value.get("url") or value.get("@value")
    return value.strip() or None if isinstance(value, str) else None
