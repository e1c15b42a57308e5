"""The one interface of all formats: how content is recognized, how its items are counted, and how they are read.

Counting and reading are two passes that share no code, so that an item that one of them loses is missed by the other.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

from pipelines.sources.compression import Codec, Places, codec_of, open_plain
from pipelines.sources.inputs import InputFile
from pipelines.sources.items import DeadItem, Item, WorkItem
from pipelines.sources.remote_files import open_source
from schemas.configs.clean import CleanConfig
from schemas.configs.sources import ColumnNames, FetchConfig

__all__ = ["ItemCount", "RawInput", "ReadSettings", "SourceFormat", "open_content"]

_BLOCK_BYTES = 2**16


@dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """What readers need to know of the settings of `clean`.

    Attributes:
        max_item_bytes: size of the largest item, before and after decoding.
        columns: names of the columns of rows.
        wiki_namespaces: kept of a MediaWiki dump; empty for all.
        fetch: how remote files are read.
    """

    max_item_bytes: int
    columns: ColumnNames
    wiki_namespaces: tuple[int, ...]
    fetch: FetchConfig

    @classmethod
    def of(cls, config: CleanConfig) -> ReadSettings:
        """Those of a whole config."""
        return cls(
            max_item_bytes=config.max_item_bytes,
            columns=config.columns,
            wiki_namespaces=config.wiki_namespaces,
            fetch=config.fetch,
        )


@dataclass
class ItemCount:
    """What a file holds.

    Attributes:
        items: how many there are of each kind; `rest` is what lies behind the last whole item of a damaged file.
        others: records that are no items, by kind.
        payload_bytes: content of the items, as it is stored.
        starts: places at least a step apart at which items begin, the first one's left out; a file can be cut there.
        by_member: each item begins a gzip member of its own.
        seeks: for starts of content that is compressed: the byte of the file at which decompression can begin.
    """

    items: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    payload_bytes: int = 0
    starts: list[int] = field(default_factory=list)
    by_member: bool = False
    seeks: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RawInput:
    """A file in the hands of a counter.

    Attributes:
        file: which one.
        codec: how it is compressed.
        stream: its bytes, to be read once and in order.
        settings: as given to readers too.
        step: bytes that should lie between two of `ItemCount.starts`.
    """

    file: InputFile
    codec: Codec | None
    stream: IO[bytes]
    settings: ReadSettings
    step: int

    def blocks(self) -> Iterator[bytes]:
        """The plain content.

        Raises:
            DamagedInputError: behind the last block that could be decompressed.
        """
        return self._blocks(None)

    def blocks_and_members(self) -> tuple[Iterator[bytes], Places]:
        """The plain content, and the place in the file of each member begun so far, by its place in the content.

        There are none where decompression cannot begin at a member: Zstandard's may need a dictionary.
        """
        members: Places = {}
        return self._blocks(members), members

    def _blocks(self, members: Places | None) -> Iterator[bytes]:
        plain = open_plain(self.stream, self.codec, self.file.url, places=members)
        return iter(partial(plain.read1, _BLOCK_BYTES), b"")  # `read` would lose what came before damage

    def open_again(self) -> IO[bytes]:
        """The file once more, for those who jump in it."""
        return open_source(self.file.url, self.settings.fetch)


@dataclass(frozen=True, kw_only=True)
class SourceFormat:
    """One format.

    Attributes:
        name: short and stable.
        matches: whether content that begins with these bytes (64 KiB, decompressed; fewer where there are no more) is
            of this format. Names of files say nothing.
        count: how many items a file holds.
        read: the items of one piece of a file, dead ones among them, as many as were counted. None is larger than
            `max_item_bytes` by much, and no more than one is in memory.
    """

    name: str
    matches: Callable[[bytes], bool]
    count: Callable[[RawInput], ItemCount]
    read: Callable[[WorkItem, ReadSettings], Iterator[Item | DeadItem]]


@contextmanager
def open_content(work: WorkItem, settings: ReadSettings) -> Iterator[io.BufferedReader[Any]]:
    """The plain content of a file from the beginning of a piece on, compressed or not.

    Reading raises `DamagedInputError` where compressed bytes are damaged or end early.

    Raises:
        InputError: the file cannot be read.
        StageError: a server does not give it.
    """
    with open_source(work.url, settings.fetch) as raw:
        codec = codec_of(raw.read(16))
        place = work.start if work.seek is None else work.seek
        raw.seek(place)
        yield open_plain(raw, codec, work.url, place)
