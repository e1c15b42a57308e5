"""Counting the pages of a MediaWiki dump without parsing XML.

The frame of a dump is fixed: a head, pages one behind the other, `</mediawiki>`. In the text of a page every `<` is
escaped, so the tags of the frame can be found as they stand.
"""

from __future__ import annotations

import re

from pipelines.sources.source_format import ItemCount, RawInput
from pipelines.sources.window import Window

__all__ = ["count_pages"]

_BLANKS = b" \t\r\n"
_HEAD = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*(?:<\?xml|<mediawiki)")
_FIRST = re.compile(rb"<page[\s>]|</mediawiki>")
_MOST_HEAD_BYTES = 2**20
_LONGEST_TAG = 64
_PAGE_END = b"</page>"


def _pass_head(window: Window) -> bool:
    """Go to the first page, or to the end of a dump without pages; False where neither comes."""
    while True:
        found = _FIRST.search(window.data)
        if found:
            return window.drop(found.start()) and found.start() <= _MOST_HEAD_BYTES
        if len(window.data) > _MOST_HEAD_BYTES + _LONGEST_TAG or not window.more():
            return False


def _pass_page(window: Window) -> int | None:
    """Go behind the page that begins here, and say how long it is; None where it has no end."""
    start = window.place
    while (end := window.data.find(_PAGE_END)) < 0:
        # The tag may lie across two blocks.
        window.drop(max(0, len(window.data) - len(_PAGE_END) + 1))
        if not window.more():
            return None
    window.drop(end + len(_PAGE_END))
    return window.place - start


def _beginning(before: int, place: int, members: dict[int, int] | None) -> tuple[int, int] | None:
    """Where a piece can begin with a page: in the content, and in the file; None where it cannot.

    Args:
        before: where the page before ended.
        place: where the page begins.
        members: of compressed content, by their place in it; those passed are removed. A piece begins with a member, as
            each hundred pages of a `multistream` dump do.
    """
    if members is None:
        return place, place
    for passed in [one for one in members if one < before]:
        del members[passed]
    start = next((one for one in members if one <= place), None)
    return None if start is None else (start, members[start])


def count_pages(raw: RawInput) -> ItemCount:
    """Count the pages of a dump, or of several put one behind the other.

    Raises:
        InputError: the file cannot be read.
    """
    count = ItemCount()
    blocks, members = raw.blocks_and_members()
    window = Window(blocks)
    heads, inside, last_start = 0, False, 0
    while True:
        before = window.place
        if not window.skip(_BLANKS):
            break
        while len(window.data) < _LONGEST_TAG and window.more():
            pass
        if inside and window.data.startswith(b"</mediawiki>"):
            window.drop(len(b"</mediawiki>"))
            inside = False
        elif inside and re.match(rb"<page[\s>]", window.data):
            place = window.place
            length = _pass_page(window)
            if length is None:
                window.damaged = True
                break
            count.items["page"] += 1
            count.payload_bytes += length
            # Pieces begin inside the first dump alone: a reader looks for its head at the beginning of the file.
            start = _beginning(before, place, members if raw.codec else None)
            if heads == 1 and start and start[1] - last_start >= raw.step:
                count.starts.append(start[0])
                count.seeks[start[0]] = last_start = start[1]
        elif not inside and _HEAD.match(window.data) and _pass_head(window):
            heads += 1
            inside = True
        else:
            window.damaged = True
            break
    if window.damaged or inside:
        count.items["rest"] += 1
    return count
