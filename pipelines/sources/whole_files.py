"""Files that are one item each: HTML pages, and texts such as books in plain text or Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

from pipelines.sources.formats import looks_like_html, looks_like_text, without_bom
from pipelines.sources.items import Address, DamagedInputError, DeadItem, Item, WorkItem
from pipelines.sources.source_format import ItemCount, RawInput, ReadSettings, SourceFormat, open_content

__all__ = ["HTML", "TEXT", "count_whole", "read_whole"]


def count_whole(raw: RawInput) -> ItemCount:
    """One item; what lies behind the largest item allowed is not looked at.

    Raises:
        InputError: the file cannot be read.
    """
    count = ItemCount(items=Counter(file=1))
    try:
        for block in raw.blocks():
            count.payload_bytes += len(block)
            if count.payload_bytes > raw.settings.max_item_bytes:
                break
    except DamagedInputError:
        return count
    return count


def read_whole(work: WorkItem, settings: ReadSettings, content_type: str) -> Iterator[Item | DeadItem]:
    """The one item of an HTML or text file.

    Raises:
        InputError: the file cannot be read.
    """
    address = Address(record_file=work.url)
    limit = settings.max_item_bytes
    with open_content(work, settings) as plain:
        try:
            body = plain.read(limit + 1)
        except DamagedInputError as error:
            yield DeadItem(address=address, name="damaged-file", message=str(error))
            return
    if len(body) > limit:
        message = f"the file has more than {limit} bytes (max_item_bytes)"
        yield DeadItem(address=address, name="too-large", message=message)
        return
    yield Item(kind="file", address=address, content_type=content_type, body=body)


def _is_text(head: bytes) -> bool:
    # Markup and data of other kinds are text to the eye, but no prose.
    return looks_like_text(head) and without_bom(head).lstrip()[:1] not in {b"<", b"{"}


HTML = SourceFormat(
    name="html",
    matches=lambda head: looks_like_text(head) and looks_like_html(head),
    count=count_whole,
    read=partial(read_whole, content_type="text/html"),
)
TEXT = SourceFormat(
    name="text", matches=_is_text, count=count_whole, read=partial(read_whole, content_type="text/plain")
)
