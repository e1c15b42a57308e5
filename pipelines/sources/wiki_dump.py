"""MediaWiki dumps, such as Wikipedia's `pages-articles.xml.bz2`: one item a page, its newest revision as plain text.

A page whose XML is broken is one dead item and the next one counts again. Where the frame of the dump itself is broken
or the file ends, the pages before it count, and the rest of the file is one dead item.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lxml import etree

from pipelines.sources.formats import first_tag, without_bom
from pipelines.sources.items import Address, DamagedInputError, DeadItem, Item, ItemError, WorkItem, parse_time
from pipelines.sources.source_format import ReadSettings, SourceFormat, open_content
from pipelines.sources.wiki_scan import count_pages
from pipelines.sources.wikitext import wikitext_to_text

__all__ = ["WIKI_DUMP", "WikiHead", "read_head", "read_pages"]

_ROOT = re.compile(rb"<(?:!DOCTYPE\s+)?mediawiki[\s>\[]")
_PAGE = re.compile(rb"<page[\s>]")
_END = b"</mediawiki>"
_WHITE = b" \t\r\n"
_MOST_HEAD_BYTES = 2**20
_READ_BYTES = 2**16
_LONGEST_TAG = 64
_REDIRECT = re.compile(r"\s*#redirect\b", re.IGNORECASE)
# Namespaces of links that are no prose: media, files, categories; their English names are known to every wiki.
_NO_PROSE = {"-2": "media", "6": "file", "14": "category"}
_MODELS = (None, "wikitext")


@dataclass(frozen=True)
class WikiHead:
    """What the head of a dump says.

    Attributes:
        base: URL up to the page's name; None where none is stated.
        no_prose: prefixes of links to files and categories, in lower case.
    """

    base: str | None = None
    no_prose: frozenset[str] = frozenset({*_NO_PROSE.values(), "image"})


def _parse(xml: bytes) -> Any:
    # Entities are not resolved, so none can grow; a text longer than 10 MB is refused by the library.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, encoding="utf-8")
    return etree.fromstring(xml, parser=parser)


def _text(element: Any, name: str) -> str | None:
    found = element.findtext(name)
    return found.strip() or None if found is not None else None


def read_head(head: bytes) -> WikiHead:
    """What the bytes before the first page say; where they are broken, no more than what every wiki knows."""
    start = head.find(b"<siteinfo")
    end = head.find(b"</siteinfo>")
    try:
        info = _parse(head[start : end + len(b"</siteinfo>")])
    except etree.XMLSyntaxError:
        return WikiHead()
    names = {one.text.strip().lower() for one in info.iter("namespace") if one.get("key") in _NO_PROSE and one.text}
    main_page = _text(info, "base") or ""
    base = main_page.rpartition("/")[0] + "/" if main_page.startswith(("http://", "https://")) else None
    return WikiHead(base, WikiHead().no_prose | names)


class _Frame:
    """The content of a dump, taken apart at the tags of its frame."""

    def __init__(self, plain: Any, place: int) -> None:
        self._plain = plain
        self._data = b""
        self.place = place  # of the first byte in hand

    def _more(self) -> bool:
        block = self._plain.read1(_READ_BYTES)
        self._data += block
        return bool(block)

    def _take(self, count: int) -> bytes:
        taken, self._data = self._data[:count], self._data[count:]
        self.place += count
        return taken

    def next_tag(self) -> bytes:
        """Pass white space; the bytes that begin there, enough to know a tag; none at the end."""
        while True:
            self._take(len(self._data) - len(self._data.lstrip(_WHITE)))
            if len(self._data) >= _LONGEST_TAG or not self._more():
                return self._data[:_LONGEST_TAG]

    def head(self) -> bytes:
        """What comes before the first page, or before the end of a dump without one."""
        while True:
            places = [found.start() for found in [_PAGE.search(self._data)] if found]
            places += [self._data.index(_END)] if _END in self._data else []
            if places and min(places) <= _MOST_HEAD_BYTES:
                return self._take(min(places))
            if len(self._data) > _MOST_HEAD_BYTES + 16 or not self._more():
                raise DamagedInputError("no page follows the head of the dump")

    def end(self) -> None:
        """Pass the end tag of a dump."""
        self._take(len(_END))

    def page(self, limit: int) -> bytes | None:
        """The page that begins here; None where it has more than `limit` bytes."""
        page, size = [], 0
        while True:
            end = self._data.find(b"</page>")
            count = end + len(b"</page>") if end >= 0 else max(0, len(self._data) - len(b"</page>") + 1)
            taken = self._take(count)
            size += count
            if size <= limit:
                page.append(taken)
            if end >= 0:
                return b"".join(page) if size <= limit else None
            if not self._more():
                raise DamagedInputError("the file ends inside a page")


def _newest(page: Any) -> Any:
    revisions = page.findall("revision")
    if not revisions:
        raise ItemError("bad-page", "the page has no revision")
    return max(enumerate(revisions), key=lambda one: (_text(one[1], "timestamp") or "", one[0]))[1]


def _refusal(page: Any, revision: Any, wikitext: str, settings: ReadSettings) -> str | None:
    wanted = settings.wiki_namespaces
    if wanted and _text(page, "ns") not in {None, *map(str, wanted)}:
        return "wiki-namespace"
    if page.find("redirect") is not None or _REDIRECT.match(wikitext):
        return "wiki-redirect"
    return "wiki-model" if _text(revision, "model") not in _MODELS else None


def _item(xml: bytes, work: WorkItem, place: int, head: WikiHead, settings: ReadSettings) -> Item:
    try:
        page = _parse(xml)
    except etree.XMLSyntaxError as error:
        raise ItemError("bad-page", f"the page is no XML: {error}") from error
    revision = _newest(page)
    title = _text(page, "title")
    wikitext = revision.findtext("text") or ""
    refused = _refusal(page, revision, wikitext, settings)
    return Item(
        kind="page",
        address=Address(
            record_file=work.url,
            record_offset=place,
            record_id=_text(page, "id"),
            captured_at=parse_time(_text(revision, "timestamp")),
        ),
        url=head.base + quote(title.replace(" ", "_"), safe=";@$!*(),/~:") if head.base and title else None,
        content_type="text/x-wiki",
        text="" if refused else wikitext_to_text(wikitext, head.no_prose),
        title=title,
        refused=refused,
    )


def _head_of_file(work: WorkItem, settings: ReadSettings) -> WikiHead:
    """The head at the beginning of a file of which only a piece is read."""
    with open_content(WorkItem(url=work.url, format=work.format), settings) as plain:
        return read_head(_Frame(plain, 0).head())


def _pages(frame: _Frame, work: WorkItem, head: WikiHead | None, settings: ReadSettings) -> Iterator[Item | DeadItem]:
    while tag := frame.next_tag():
        place = frame.place
        if work.end is not None and place >= work.end:
            return
        if head is None:
            if not tag.removeprefix(BOM_UTF8).lstrip(_WHITE).startswith((b"<?xml", b"<mediawiki")):
                raise DamagedInputError(f"{tag[:40]!r} stands where a dump should begin")
            head = read_head(frame.head())
        elif tag.startswith(_END):
            frame.end()
            head = None
        elif _PAGE.match(tag):
            xml = frame.page(settings.max_item_bytes)
            if not work.wants(place):
                continue
            try:
                if xml is None:
                    limit = settings.max_item_bytes
                    raise ItemError("too-large", f"the page has more than {limit} bytes (max_item_bytes)")
                yield _item(xml, work, place, head, settings)
            except ItemError as error:
                yield DeadItem(
                    address=Address(record_file=work.url, record_offset=place), name=error.name, message=str(error)
                )
        else:
            raise DamagedInputError(f"{tag[:40]!r} stands where a page should begin")
    if head is not None:
        raise DamagedInputError("the file ends before the dump does")


def read_pages(work: WorkItem, settings: ReadSettings) -> Iterator[Item | DeadItem]:
    """The pages of a dump, or of several put one behind the other.

    Raises:
        InputError: the file cannot be read.
    """
    head = _head_of_file(work, settings) if work.start else None
    with open_content(work, settings) as plain:
        frame = _Frame(plain, work.start)
        try:
            yield from _pages(frame, work, head, settings)
        except DamagedInputError as error:
            if work.only is None:
                rest = Address(record_file=work.url, record_offset=frame.place)
                yield DeadItem(address=rest, name="damaged-rest", message=f"from byte {frame.place}: {error}")


def _is_dump(head: bytes) -> bool:
    plain = without_bom(head)
    return bool(_ROOT.match(plain, first_tag(plain)))


WIKI_DUMP = SourceFormat(
    name="wiki-dump",
    matches=_is_dump,
    count=count_pages,
    read=read_pages,
)
