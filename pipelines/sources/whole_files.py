"""Reading files that are one item each: HTML pages and texts, and what no reader knows."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.sources.compression import codec_of, open_plain
from pipelines.sources.formats import sniff_file
from pipelines.sources.items import Address, DamagedInputError, DeadItem, Item, WorkItem
from schemas.storage import open_input

__all__ = ["read_unknown", "read_whole"]

_CONTENT_TYPES = {"html": "text/html", "text": "text/plain"}


def read_whole(work: WorkItem, limit: int) -> Iterator[Item | DeadItem]:
    """The one item of an HTML or text file.

    Raises:
        InputError: the file cannot be read.
    """
    address = Address(record_file=work.url)
    with open_input(work.url) as raw:
        codec = codec_of(raw.read(16))
        raw.seek(0)
        try:
            body = open_plain(raw, codec, work.url).read(limit + 1)
        except DamagedInputError as error:
            yield DeadItem(address=address, name="damaged-file", message=str(error))
            return
    if len(body) > limit:
        message = f"the file has more than {limit} bytes (max_item_bytes)"
        yield DeadItem(address=address, name="too-large", message=message)
        return
    yield Item(kind="file", address=address, content_type=_CONTENT_TYPES[work.format], body=body)


def read_unknown(work: WorkItem, _limit: int) -> Iterator[DeadItem]:
    """The dead item of a file whose format nobody knows.

    Raises:
        InputError: the file cannot be read.
    """
    name, message = sniff_file(work.url).problem or ("unknown-format", "its content has changed")
    yield DeadItem(address=Address(record_file=work.url), name=name, message=message)
