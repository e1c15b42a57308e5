"""Zstandard frames (RFC 8878), and the dictionary that a WARC file may carry in front of them.

"WARC Files using Zstandard" (IIPC, 2020): the first frame may be a skippable one of a magic number of its own that
holds a dictionary, itself compressed or not, for all frames that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BufferedReader
from typing import Any

from backports import zstd

from pipelines.sources.items import DamagedInputError

__all__ = ["ZSTD_MAGIC", "is_skippable", "zstd_decompressors"]

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"
# Dictionaries in use have some 100 KB to 1 MB.
_MOST_DICTIONARY_BYTES = 16 * 2**20
# Window of 128 MiB, the most that the format asks decompressors to have.
_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 27}


def is_skippable(head: bytes) -> bool:
    """Whether these first bytes begin a skippable frame."""
    return len(head) >= 4 and head[0] & 0xF0 == 0x50 and head[1:4] == b"\x2a\x4d\x18"


def _dictionary(source: BufferedReader[Any]) -> zstd.ZstdDict | None:
    """The dictionary at the beginning of a file, which is passed; None where there is none."""
    if source.peek(4)[:4] != _DICTIONARY_MAGIC:
        return None
    size = int.from_bytes(source.read(8)[4:], "little")
    if size > _MOST_DICTIONARY_BYTES:
        raise DamagedInputError(f"a Zstandard dictionary of {size} bytes; {_MOST_DICTIONARY_BYTES} are allowed")
    content = source.read(size)
    try:
        if content.startswith(ZSTD_MAGIC):
            packed = zstd.ZstdDecompressor(options=_OPTIONS)
            content = packed.decompress(content, _MOST_DICTIONARY_BYTES)
            if not packed.eof:
                raise DamagedInputError("the Zstandard dictionary at the beginning is too large or cut off")
        return zstd.ZstdDict(content)
    except (zstd.ZstdError, ValueError) as error:
        raise DamagedInputError(f"the Zstandard dictionary at the beginning is damaged: {error}") from error


def zstd_decompressors(source: BufferedReader[Any]) -> Callable[[], zstd.ZstdDecompressor]:
    """What makes a decompressor for each frame behind the dictionary, which is read from `source` now.

    Raises:
        DamagedInputError: the dictionary is damaged.
    """
    dictionary = _dictionary(source)
    return lambda: zstd.ZstdDecompressor(dictionary, options=_OPTIONS)
