"""What a file holds, told by its first bytes and never by its name."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from pipelines.sources.compression import Codec, codec_of, open_plain
from pipelines.sources.formats import HEAD_BYTES
from pipelines.sources.items import DamagedInputError
from pipelines.sources.registry import FORMATS
from pipelines.sources.remote_files import open_source
from pipelines.sources.source_format import SourceFormat
from schemas.configs.sources import FetchConfig

__all__ = ["SniffedFile", "sniff_file"]


@dataclass(frozen=True)
class SniffedFile:
    """What a file holds; where nobody knows, `problem` has name and message of its dead letter."""

    format: SourceFormat | None
    codec: Codec | None = None
    problem: tuple[str, str] | None = None


def _head(plain: io.BufferedReader[Any]) -> tuple[bytes, str]:
    """The first bytes, as many as come out, and why no more do."""
    head = b""
    try:
        while len(head) < HEAD_BYTES and (more := plain.read1(HEAD_BYTES - len(head))):
            head += more
    except DamagedInputError as error:
        return head, str(error)
    return head, ""


def sniff_file(url: str, fetch: FetchConfig) -> SniffedFile:
    """What the file at `url` holds, by its first bytes.

    Raises:
        InputError: the file cannot be read.
        StageError: a server does not give it.
    """
    with open_source(url, fetch) as raw:
        codec = codec_of(raw.read(16))
        raw.seek(0)
        head, damage = _head(open_plain(raw, codec, url))
    if damage and not head:
        return SniffedFile(None, codec, ("damaged-file", damage))
    if not head.strip():
        return SniffedFile(None, codec, ("empty-file", "the file holds nothing"))
    found = next((one for one in FORMATS if one.matches(head)), None)
    if found is None:
        return SniffedFile(None, codec, ("unknown-format", f"no known format begins with {head[:16]!r}"))
    return SniffedFile(found, codec)
