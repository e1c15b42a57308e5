"""The beginning of a sampled row's text: documents have it stored, dropped rows are read again by their address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from pipelines.cleaning.rows import RowMaker
from pipelines.sources.items import DeadItem, Item, WorkItem
from pipelines.sources.reader import read_items
from pipelines.sources.remote_files import open_source
from pipelines.sources.sniffing import sniff_file
from pipelines.sources.source_format import ReadSettings
from schemas.configs.clean import CleanConfig
from schemas.configs.clean_lists import CleanLists
from schemas.configs.clean_presets import RULES
from schemas.corpus_root import PartitionKey
from schemas.errors import CorpusmillError

__all__ = ["Excerpt", "RawTexts", "cut"]

_CHARACTERS = 600
_GZIP_MEMBER = b"\x1f\x8b\x08"


@dataclass(frozen=True)
class Excerpt:
    """The beginning of a text, or why there is none to show."""

    text: str
    problem: str = ""
    cut: bool = False


def cut(text: str) -> Excerpt:
    """The beginning of a text."""
    return Excerpt(text[:_CHARACTERS], cut=len(text) > _CHARACTERS)


def _without_filters(config: CleanConfig) -> CleanConfig:
    """Settings under which every text comes through as the rules saw it: edited and not filtered."""
    edits = tuple(rule for rule in config.active_rules() if RULES[rule].side == "edits")
    return config.model_copy(update={"rules": edits, "classifier": None, "lists": CleanLists()})


def _work(url: str, offset: int, settings: ReadSettings) -> WorkItem:
    """The least piece of a file that holds the item at `offset`."""
    sniffed = sniff_file(url, settings.fetch)
    if sniffed.format is None:
        return WorkItem(url=url, format="", problem=sniffed.problem)
    whole = WorkItem(url=url, format=sniffed.format.name, only=frozenset({offset}))
    if sniffed.format.name not in {"warc", "arc"}:
        return whole
    piece = replace(whole, start=offset, end=offset + 1)
    if sniffed.codec is None:
        return piece
    if sniffed.codec == "gzip":
        with open_source(url, settings.fetch) as raw:
            raw.seek(offset)
            begins_member = raw.read(len(_GZIP_MEMBER)) == _GZIP_MEMBER
        if begins_member:
            return replace(piece, by_member=True)
    return whole


def _items(url: str, offset: int, settings: ReadSettings) -> Iterator[Item | DeadItem]:
    for item in read_items(_work(url, offset, settings), settings):
        if item.address.record_offset == offset:
            yield item


class RawTexts:
    """Reads texts of dropped rows out of raw files; the language model is loaded once a partition."""

    def __init__(self, key: PartitionKey, settings: Mapping[str, Any]) -> None:
        """`settings` are those of the manifest."""
        self._maker: RowMaker | None = None
        self._problem = ""
        try:
            self._config = _without_filters(CleanConfig.model_validate(dict(settings)))
        except ValidationError:
            self._problem = "cleaned by another version of this program, with settings that this one does not know"
            return
        self._key = key

    def excerpt(self, row: Mapping[str, Any]) -> Excerpt:
        """The beginning of the text of a dropped row, if it is still where its address says."""
        if self._problem:
            return Excerpt("", self._problem)
        if row["content_hash"] is None:
            return Excerpt("", "no text was made of it")
        try:
            item = next(_items(row["record_file"], row["record_offset"], ReadSettings.of(self._config)), None)
        except (CorpusmillError, OSError) as error:
            return Excerpt("", f"its raw file cannot be read any more: {error}")
        if item is None or isinstance(item, DeadItem):
            return Excerpt("", "its raw file has changed: there is no such record in it any more")
        self._maker = self._maker or RowMaker(self._key, self._config)
        _, made = self._maker.row(item)
        if made.get("content_hash") != row["content_hash"]:
            return Excerpt("", "the record at its address has another text than when it was cleaned")
        return cut(made["text"])
