"""Plain content of compressed files that are a row of members: bzip2, xz, Zstandard."""

from __future__ import annotations

import io
import lzma
from collections.abc import Callable
from typing import Any, Protocol

from backports import zstd

from pipelines.sources.items import DamagedInputError

__all__ = ["Decompressor", "Members", "most_plain_bytes"]

_READ_BYTES = 64 * 1024
# Deflate cannot grow content more than 1,032 times; what grows more under another codec is a bomb, not a text. The
# first 64 MiB are free, so that a small file of one repeated line passes.
_MOST_GROWTH = 1_100
_FREE_BYTES = 64 * 2**20


def most_plain_bytes(packed: int) -> int:
    """What so many bytes may grow to when they are decompressed; more is a decompression bomb."""
    return _FREE_BYTES + _MOST_GROWTH * packed


class Decompressor(Protocol):
    """What the decompressors of `bz2`, `lzma` and `zstd` have in common."""

    @property
    def eof(self) -> bool:
        """The member has ended."""

    @property
    def needs_input(self) -> bool:
        """Nothing more comes without more data."""

    @property
    def unused_data(self) -> bytes:
        """What came behind the end."""

    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes:
        """At most so many plain bytes; what is left of `data` is kept."""


class Members(io.RawIOBase):
    """Plain content of all members, one behind the other; all before a damage comes out."""

    def __init__(
        self,
        source: io.BufferedReader[Any],
        codec: str,
        prepare: Callable[[io.BufferedReader[Any]], Callable[[], Decompressor]],
        places: dict[int, int] | None,
    ) -> None:
        """Read members from `source`.

        Args:
            source: the file, at its beginning.
            codec: its name.
            prepare: takes what comes before the first member from the source; gives what makes a decompressor for
                each member.
            places: takes the byte in the file at which each member begins, by that of plain content.
        """
        self._source = source
        self._codec = codec
        self._prepare = prepare
        self._make: Callable[[], Decompressor] | None = None
        self._member: Decompressor | None = None
        self._held = b""  # taken from the source, not yet given to a decompressor
        self._taken = 0
        self._plain = 0
        self._ready = b""
        self._places = places

    def readable(self) -> bool:
        """True."""
        return True

    def _fill(self) -> bool:
        if not self._held:
            self._held = self._source.read(_READ_BYTES)
            self._taken += len(self._held)
        return bool(self._held)

    def _find_member(self) -> bool:
        while self._fill() and self._plain and not self._held.strip(b"\0"):
            self._held = b""  # zero bytes behind a member are padding
        if self._plain:
            self._held = self._held.lstrip(b"\0")
        if self._held and self._places is not None:
            self._places[self._plain] = self._taken - len(self._held)
        return bool(self._held)

    def _decompress(self, member: Decompressor) -> bytes:
        if member.needs_input and not self._fill():
            raise DamagedInputError(f"the {self._codec} content is cut off behind byte {self._taken}")
        given = b""
        if member.needs_input:
            given, self._held = self._held, b""
        try:
            # Pieces of one size: how much comes before a complaint may depend on how much is asked for.
            data = member.decompress(given, _READ_BYTES)
        except (OSError, ValueError, EOFError, lzma.LZMAError, zstd.ZstdError) as error:
            raise DamagedInputError(
                f"the {self._codec} content is damaged before byte {self._taken}: {error}"
            ) from error
        if member.eof:
            self._held = member.unused_data
        return data

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Plain bytes into `buffer`; 0 at the end.

        Raises:
            DamagedInputError: a member is damaged or cut off, or the content grows as only bombs do.
        """
        if self._make is None:
            self._make = self._prepare(self._source)
        while not self._ready:
            if self._member is None:
                self._member = self._make() if self._find_member() else None
                if self._member is None:
                    return 0
            self._ready = self._decompress(self._member)
            if self._member.eof:
                self._member = None
        if self._plain > most_plain_bytes(self._taken):
            raise DamagedInputError(
                f"{self._taken} bytes of {self._codec} grow to more than {self._plain}: a decompression bomb"
            )
        data, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        self._plain += len(data)
        buffer[: len(data)] = data
        return len(data)
