"""What its tag, its classes, its id and other attributes say that an element is for: its marks."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from pipelines.cleaning.main_text.attribute_kernel import ATTRIBUTES, LISTS, stated_marks
from pipelines.cleaning.main_text.byte_automata import LOWER_CASE, WHITE_SPACE, ByteAutomata, WordList, build

__all__ = ["MARKS", "MARK_BITS", "NAMED", "TAG_MARKS", "marks_of"]

I64 = NDArray[np.int64]

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
_TAGGED = {
    "nav": "aside-tag",
    "footer": "aside-tag",
    "aside": "aside-tag",
    "article": "article-tag",
    "main": "article-tag",
    "header": "header-tag",
    "figure": "figure-tag",
    "table": "table-tag",
    "form": "form-tag",
}
# Bits of an element's marks, in this order.
MARKS: tuple[str, ...] = (*NAMED, "article-body", *dict.fromkeys(_TAGGED.values()))
MARK_BITS = {name: 1 << place for place, name in enumerate(MARKS)}
TAG_MARKS = {tag: MARK_BITS[mark] for tag, mark in _TAGGED.items()}
_FRAME_ROLES = ("navigation", "complementary", "contentinfo", "banner", "search", "dialog")


def _names() -> dict[str, int]:
    kinds = [(part, MARK_BITS[kind]) for kind, parts in NAMED.items() for part in parts]
    return {part: sum({bit for other, bit in kinds if other == part}) for part, _ in kinds}


@cache
def _automata() -> ByteAutomata:
    roles = {**dict.fromkeys(_FRAME_ROLES, MARK_BITS["frame"]), **dict.fromkeys(("main", "article"), MARK_BITS["text"])}
    article = {"articlebody": MARK_BITS["article-body"] | MARK_BITS["text"]}
    words = {
        "white space": WordList(dict.fromkeys(WHITE_SPACE, 1), anywhere=False, same={}),
        "attributes": WordList({name: place for place, name in enumerate(ATTRIBUTES) if name}, anywhere=False, same={}),
        "names": WordList(_names(), anywhere=True, same={**LOWER_CASE, ord("_"): ord("-")}),
        "roles": WordList(roles, anywhere=False, same={}),
        "properties": WordList(article, anywhere=False, same=LOWER_CASE),
        "styles": WordList({"display:none": MARK_BITS["hidden"]}, anywhere=True, same={}),
    }
    return build(*(words[name] for name in LISTS))


def marks_of(page: NDArray[np.uint8], stated: I64) -> I64:
    """By element, the bits of `MARKS` that its attributes give it.

    Args:
        page: UTF-8.
        stated: elements × 2, where the attributes of each begin and end, as the parser writes them: with values, these
            in quotes, and a space before each but the first.
    """
    return stated_marks(page, stated, _automata(), MARK_BITS["hidden"])
