"""The list of what was taken down: `<root>/takedown.json`, keyed by URL, domain and document id.

It is part of the corpus for ever: what stands on it is not taken in again by a later `clean`. It is no table and no
part of the corpus digest; what it does to tables is.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.corpus_root import CorpusRoot
from schemas.errors import ManifestError
from schemas.foreign_text import parse_json

__all__ = ["TAKEDOWN_NAME", "TAKEDOWN_RULE", "Exposure", "Redo", "TakedownList", "read_takedowns", "write_takedowns"]

TAKEDOWN_NAME = "takedown.json"
TAKEDOWN_RULE = "takedown"
_VERSION = 1
_MOST_LABELS = 127  # of a name (RFC 1035, section 2.3.4); a URL may be as long as a header


_Hexadecimal = Annotated[str, Field(pattern=r"^([0-9a-fA-F]{2})*$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Exposure(_Record):
    """What was made of texts before they were taken down."""

    mixtures: tuple[str, ...] = Field(default=(), description="plans that pin a shard with such a text")
    runs: tuple[str, ...] = Field(
        default=(), description="training runs of these plans, and runs that go on from those"
    )
    tokenizers: tuple[str, ...] = Field(
        default=(), description="tokenizers that were made from a partition with such a text"
    )

    def joined(self, other: Exposure) -> Exposure:
        """Both together."""
        return Exposure(
            mixtures=tuple(sorted({*self.mixtures, *other.mixtures})),
            runs=tuple(sorted({*self.runs, *other.runs})),
            tokenizers=tuple(sorted({*self.tokenizers, *other.tokenizers})),
        )


class Redo(_Record):
    """A unit that was there and depends on what goes: it is to be done again, with the settings that it had."""

    stage: Literal["dedup", "decontaminate", "heldout", "tokenize"]
    source: str | None
    partition: str | None
    config: dict[str, Any]


class TakedownList(_Record):
    """See the module's text."""

    schema_version: int = _VERSION
    urls: tuple[str, ...] = Field(default=(), description="canonical URLs, as in the column `url_key`")
    domains: tuple[str, ...] = Field(default=(), description="hosts without `www.`; their subdomains go too")
    ids: tuple[_Hexadecimal, ...] = Field(default=(), description="document ids, in hexadecimal")
    exposure: Exposure = Exposure()
    pending: tuple[str, ...] = Field(
        default=(), description="partitions, as source/partition, that are still to be done"
    )
    redo: tuple[Redo, ...] = Field(default=(), description="what is still to be done again after that")

    @cached_property
    def _sets(self) -> tuple[frozenset[str], frozenset[str], frozenset[bytes]]:
        return frozenset(self.urls), frozenset(self.domains), frozenset(bytes.fromhex(one) for one in self.ids)

    def has_url(self, url_key: str | None) -> bool:
        """Whether a URL, in canonical form, was taken down, itself or with its domain."""
        if url_key is None:
            return False
        urls, domains, _ = self._sets
        if url_key in urls:
            return True
        host = (urlsplit(url_key).hostname or "") if domains else ""
        labels = host.split(".")[-_MOST_LABELS:]
        return any(".".join(labels[start:]) in domains for start in range(len(labels)))

    def has_id(self, document_id: bytes | None) -> bool:
        """Whether a document was taken down by its id."""
        return document_id in self._sets[2]

    def __bool__(self) -> bool:
        return bool(self.urls or self.domains or self.ids)

    def extended(self, urls: Iterable[str], domains: Iterable[str], ids: Iterable[str]) -> TakedownList:
        """The list with more on it."""
        return self.changed(
            urls=tuple(sorted({*self.urls, *urls})),
            domains=tuple(sorted({*self.domains, *domains})),
            ids=tuple(sorted({*self.ids, *ids})),
        )

    def changed(self, **fields: object) -> TakedownList:
        """The list with other values; not `model_copy`, which would keep what was worked out from the old ones."""
        return TakedownList.model_validate({**dict(self), **fields})


def read_takedowns(root: CorpusRoot) -> TakedownList:
    """The list of a corpus; an empty one where nothing was taken down.

    Raises:
        ManifestError: it is damaged or of a version this code does not read.
    """
    if not root.folder.exists(TAKEDOWN_NAME):
        return TakedownList()
    where = f"{root.url}/{TAKEDOWN_NAME}"
    try:
        content = parse_json(root.folder.read(TAKEDOWN_NAME))
        if content.get("schema_version") != _VERSION:
            raise ManifestError(f"{where} has version {content.get('schema_version')}, this program reads {_VERSION}")
        return TakedownList.model_validate(content)
    except (ValueError, AttributeError, ValidationError) as error:
        raise ManifestError(
            f"{where} is damaged: {error}; bring it back from a copy, it cannot be made anew"
        ) from error


def write_takedowns(root: CorpusRoot, takedowns: TakedownList) -> None:
    """Write the list, whole."""
    root.folder.put_whole(TAKEDOWN_NAME, takedowns.model_dump_json(indent=1).encode("utf-8"))
