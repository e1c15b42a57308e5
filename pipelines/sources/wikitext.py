"""Wikitext to plain text, by wikitextparser; templates, tables, references, files and categories leave nothing behind.

Not by mwparserfromhell: 50,000 open `<b>` took it 70 seconds and 4,000 times `<ref ` more than 8, wikitextparser
less than half a second each.
"""

from __future__ import annotations

import re
from bisect import bisect_right

import wikitextparser

from pipelines.sources.items import ItemError

__all__ = ["wikitext_to_text"]

# Measures of a page: articles stay below 20,000 pairs of brackets, MediaWiki itself takes 2 MiB of text at most and
# stops at 40 templates deep. The library's time grows with the square of the tags: 4 seconds for 20,000 open ones.
_MOST_CHARACTERS = 4 * 2**20
_MOST_BRACKETS = 100_000
_MOST_TAGS = 20_000
_DEEPEST_BRACKETS = 100
_BRACKETS = re.compile(r"\{\{|\}\}|\[\[|\]\]|\{\||\|\}")
# Elements whose content is no prose.
_NO_PROSE_TAG = re.compile(
    r"<(/?)(ref|gallery|math|chem|timeline|score|imagemap|hiero|syntaxhighlight|source)(?=[\s/>])[^<>]*>", re.IGNORECASE
)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_MAGIC_WORD = re.compile(r"__[A-Z]{3,}__")
_LIST_MARK = re.compile(r"^[*#:;]+[ \t]*", re.MULTILINE)
_LANGUAGE_LINK = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*")


def _too_many(what: str, number: int, most: int) -> ItemError:
    return ItemError("too-many-nodes", f"{number} {what} of wikitext, {most} are allowed")


def _check_size(wikitext: str) -> None:
    if len(wikitext) > _MOST_CHARACTERS:
        raise _too_many("characters", len(wikitext), _MOST_CHARACTERS)
    if wikitext.count("<") > _MOST_TAGS:
        raise _too_many("tags", wikitext.count("<"), _MOST_TAGS)
    brackets = 0
    depth = deepest = 0
    for found in _BRACKETS.finditer(wikitext):
        brackets += 1
        depth = depth + 1 if found[0] in {"{{", "[[", "{|"} else max(0, depth - 1)
        deepest = max(deepest, depth)
    if brackets > _MOST_BRACKETS:
        raise _too_many("brackets", brackets, _MOST_BRACKETS)
    if deepest > _DEEPEST_BRACKETS:
        raise ItemError("too-deep", f"brackets of wikitext lie {deepest} deep, {_DEEPEST_BRACKETS} are allowed")


def _without_elements(wikitext: str) -> str:
    """The text without elements that are no prose; an open tag that is never closed goes alone."""
    tags = [
        (found.start(), found.end(), found[2].lower(), bool(found[1])) for found in _NO_PROSE_TAG.finditer(wikitext)
    ]
    ends: dict[str, list[int]] = {}
    for _, end, name, closes in tags:
        if closes:
            ends.setdefault(name, []).append(end)
    kept, place = [], 0
    for start, end, name, closes in tags:
        if start < place:
            continue
        kept.append(wikitext[place:start])
        place = end
        closing = ends.get(name, [])
        if not closes and not wikitext.endswith("/>", start, end):
            following = bisect_right(closing, end)
            place = closing[following] if following < len(closing) else end
    return "".join([*kept, wikitext[place:]])


def _is_no_prose(target: str, no_prose: frozenset[str]) -> bool:
    """Whether a link shows a file, sets a category, or leads to the same page in another language."""
    prefix, colon, _ = target.partition(":")
    if not colon or not prefix.strip():  # a colon in front makes an ordinary link of it
        return False
    return prefix.strip().lower() in no_prose or bool(_LANGUAGE_LINK.fullmatch(prefix.strip()))


def _without_links(wikitext: str, no_prose: frozenset[str]) -> str:
    """The text without links that are no prose, together with captions in them."""
    spans = [
        link.span for link in wikitextparser.parse(wikitext).wikilinks if _is_no_prose(link.target or "", no_prose)
    ]
    kept, place = [], 0
    for start, end in sorted(spans):
        if start >= place:
            kept.append(wikitext[place:start])
            place = end
        else:
            place = max(place, end)
    return "".join([*kept, wikitext[place:]])


def _heading(line: str) -> tuple[int, str] | None:
    """Level and words of a heading; None where the line is none."""
    line = line.strip()
    level = min(len(line) - len(line.lstrip("=")), len(line) - len(line.rstrip("=")), 6)
    words = line[level : len(line) - level].strip()
    return (level, words) if level and words else None


def _without_empty_sections(lines: list[str]) -> list[str]:
    """Headings become plain lines; those with no text before the next of their level, or above it, go."""
    kept: list[str] = []
    level_below = 1  # of the heading that follows; 0 where text does
    for line in reversed(lines):
        heading = _heading(line)
        if heading is None:
            kept.append(line.rstrip())
            level_below = 0 if line.strip() else level_below
        elif level_below == 0 or level_below > heading[0]:
            kept.append(heading[1])
            level_below = heading[0]
    return kept[::-1]


def wikitext_to_text(wikitext: str, no_prose: frozenset[str]) -> str:
    """The prose of a page.

    Args:
        wikitext: of one revision.
        no_prose: prefixes of links, in lower case, that show files or set categories, as this wiki spells them.

    Raises:
        ItemError: the page is too large or too deep to take apart.
    """
    wikitext = _without_elements(_COMMENT.sub("", wikitext))
    _check_size(wikitext)
    try:
        parsed = wikitextparser.parse(_without_links(wikitext, no_prose))
        plain = parsed.plain_text(replace_tables=lambda _table: "")
    except RecursionError as error:
        raise ItemError("too-deep", "the page's markup lies too deep to take apart") from error
    lines = _without_empty_sections(_MAGIC_WORD.sub("", plain).split("\n"))
    text = _LIST_MARK.sub("", "\n".join(lines))
    return re.sub(r"\n{3,}", "\n\n", text).strip()
