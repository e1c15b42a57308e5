"""Plain content behind gzip, bzip2, xz and Zstandard, told by the first bytes."""

from __future__ import annotations

import bz2
import io
import lzma
from functools import partial
from typing import IO, Any, Literal

from zlib_ng import zlib_ng as zlib

from pipelines.sources.items import DamagedInputError
from pipelines.sources.members import Members
from pipelines.sources.zstandard_frames import ZSTD_MAGIC, is_skippable, zstd_decompressors
from schemas.errors import InputError

__all__ = ["Codec", "GzipMembers", "Places", "codec_of", "open_plain"]

Codec = Literal["gzip", "bzip2", "xz", "zstd"]
Places = dict[int, int]

_MAGIC: dict[bytes, Codec] = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", ZSTD_MAGIC: "zstd"}
_BLOCK_BYTES = 64 * 1024
# The dictionary of `xz -9`, the largest preset, is 64 MiB.
_MOST_XZ_MEMORY = 128 * 2**20


def codec_of(head: bytes) -> Codec | None:
    """The compression that these first bytes of a file show."""
    if is_skippable(head):
        return "zstd"
    return next((codec for magic, codec in _MAGIC.items() if head.startswith(magic)), None)


class _Source(io.RawIOBase):
    """The raw file; keeps its own failures apart from damaged content, which the decompressors report as OSError."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._stream.read(len(buffer))
        except OSError as error:
            raise InputError(f"cannot read {self._name}: {error}; make it readable and run again") from error
        buffer[: len(data)] = data
        return len(data)


class GzipMembers(io.RawIOBase):
    """Plain content of all members of a gzip file (RFC 1952)."""

    def __init__(self, source: IO[bytes], offset: int = 0, places: Places | None = None) -> None:
        """Read members from `source`, which stands at byte `offset` of the file; see `open_plain` for `places`."""
        self._source = source
        self._taken = offset  # bytes of the file taken from the source
        self._held = b""  # taken, but not yet decompressed
        self._member: zlib._Decompress | None = None
        self._member_start = offset
        self._plain = 0
        self._cause: str | None = None  # why there is nothing after what is salvaged
        self._ready = b""
        self._places = places

    def readable(self) -> bool:
        """True."""
        return True

    def _fill(self) -> bool:
        if not self._held:
            self._held = self._source.read(_BLOCK_BYTES)
            self._taken += len(self._held)
        return bool(self._held)

    def _begin_member(self) -> zlib._Decompress | None:
        while self._fill() and self._plain and not self._held.strip(b"\0"):
            self._held = b""  # zero bytes behind the last member are padding
        if not self._held:
            return None
        self._member_start = self._taken - len(self._held)
        if self._places is not None:
            self._places[self._plain] = self._member_start
        return zlib.decompressobj(16 + zlib.MAX_WBITS)

    def _decompress(self, member: zlib._Decompress, limit: int) -> bytes:
        """The next plain bytes; none where the block in hand held none, or where the member is damaged."""
        if not self._fill():
            data = bytes(member.decompress(b"", limit))
            if not data:
                self._cause = "is cut off"
            return data
        before = member.copy()
        try:
            data = bytes(member.decompress(self._held, limit))
        except zlib.error as error:
            self._cause = f"is damaged ({error})"
            return self._salvage(before)
        self._held = member.unused_data if member.eof else member.unconsumed_tail
        return data

    def _salvage(self, member: zlib._Decompress) -> bytes:
        # zlib gives nothing back from a call that fails. Byte by byte, all before the damage comes out, so that the
        # last whole record does not depend on where blocks begin.
        found = []
        for position in range(len(self._held)):
            try:
                found.append(member.decompress(self._held[position : position + 1]))
            except zlib.error:
                break
        return b"".join(found)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Plain bytes into `buffer`; 0 at the end.

        Raises:
            DamagedInputError: a member is damaged or cut off; the message names the byte at which it begins.
        """
        while not self._ready:
            if self._cause is not None:
                raise DamagedInputError(f"the gzip member that begins at byte {self._member_start} {self._cause}")
            if self._member is None:
                self._member = self._begin_member()
                if self._member is None:
                    return 0
            self._ready = self._decompress(self._member, len(buffer))
            if self._member.eof:
                self._member = None
        data, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        self._plain += len(data)
        buffer[: len(data)] = data
        return len(data)


def open_plain(
    stream: IO[bytes], codec: Codec | None, name: str, offset: int = 0, places: Places | None = None
) -> io.BufferedReader[Any]:
    """Plain content of a stream, compressed or not, that stands at byte `offset` of the file `name`.

    Reading raises `DamagedInputError` where the compressed bytes are damaged or end early.

    Args:
        stream: the file.
        codec: how it is compressed.
        name: for messages.
        offset: where it stands.
        places: takes the byte of the file at which each member of gzip, bzip2 or xz begins, by the byte of plain
            content with which it begins. A file may have millions of members: who gives it removes what was passed.
    """
    source: io.BufferedReader[Any] = io.BufferedReader(_Source(stream, name), _BLOCK_BYTES)
    if codec is None:
        return source
    raw: io.RawIOBase
    if codec == "gzip":
        raw = GzipMembers(source, offset, places)
    elif codec == "bzip2":
        raw = Members(source, codec, lambda _source: bz2.BZ2Decompressor, places)
    elif codec == "xz":
        xz = partial(lzma.LZMADecompressor, memlimit=_MOST_XZ_MEMORY)
        raw = Members(source, codec, lambda _source: xz, places)
    else:
        raw = Members(source, codec, zstd_decompressors, None)  # may begin at the first one alone: dictionaries
    return io.BufferedReader(raw, _BLOCK_BYTES)
